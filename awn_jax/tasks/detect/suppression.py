"""From the boxes of all cells to the objects of an image.

Dimensions: B any leading axes, P boxes, K classes, D detections.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from awn_jax.tasks.detect.boxes import overlap

# Of the boxes of an image, so many that score highest are looked at.
CANDIDATES = 256


class Detections(NamedTuple):
    """What is said to be in images, the surest first, as arrays of JAX or NumPy; places without an object have score 0.

    Attributes:
        boxes: in shares of the image.
        scores: in [0, 1].
        labels: classes.
    """

    boxes: Float[Any, "*B D 4"]
    scores: Float[Any, "*B D"]
    labels: Int[Any, "*B D"]


def strongest(
    boxes: Float[Array, "*B P 4"],
    scores: Float[Array, "*B P K"],
    *,
    most: int,
    allowed: float,
    least: float,
) -> Detections:
    """Keeps of boxes of one class that overlap the one that scores highest.

    Args:
        boxes: one for each place, for all classes.
        scores: of each class.
        most: D.
        allowed: overlap of two boxes of one class, above which the lower score goes.
        least: score of a detection.
    """
    places, classes = scores.shape[-2:]
    flat = scores.reshape(*scores.shape[:-2], places * classes)
    values, which = lax.top_k(flat, min(CANDIDATES, places * classes))
    labels, chosen = which % classes, jnp.take_along_axis(boxes, (which // classes)[..., None], -2)
    kept = unsuppressed(chosen, values, labels, allowed) & (values >= least)
    values, order = lax.top_k(jnp.where(kept, values, 0), min(most, values.shape[-1]))
    chosen = jnp.take_along_axis(chosen, order[..., None], -2)
    return Detections(chosen, values, jnp.take_along_axis(labels, order, -1))


def unsuppressed(
    boxes: Float[Array, "*B P 4"], scores: Float[Array, "*B P"], labels: Int[Array, "*B P"], allowed: float
) -> Bool[Array, "*B P"]:
    """Which boxes are left by non-maximum suppression within each class.

    Args:
        boxes: of each image.
        scores: descending.
        labels: of the boxes.
        allowed: overlap of two boxes of one class, above which the later one goes.
    """
    later = jnp.arange(scores.shape[-1])

    def suppress(place: Int[Array, ""], kept: Bool[Array, "*B P"]) -> Bool[Array, "*B P"]:
        one = lax.dynamic_slice_in_dim(boxes, place, 1, boxes.ndim - 2)
        same = labels == lax.dynamic_slice_in_dim(labels, place, 1, labels.ndim - 1)
        alive = lax.dynamic_slice_in_dim(kept, place, 1, kept.ndim - 1)
        after = (later > place).reshape((1,) * (kept.ndim - 1) + (-1,))
        return kept & ~(alive & same & after & (overlap(one, boxes) > allowed))

    return jax.lax.fori_loop(0, scores.shape[-1], suppress, jnp.ones(scores.shape, bool))
