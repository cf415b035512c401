"""What a detector loses: one number for each example at each width.

Dimensions: N widths, B examples, h and w cells, K classes.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from awn_jax.tasks.detect.boxes import decoded, generalised_overlap, overlap
from awn_jax.tasks.detect.matching import Matches

# Of the boxes, beside that of the classes.
BOX_WEIGHT = 2.0
# The logit of a share of one cell in a hundred: an untrained network finds few objects, and does not have to unlearn many.
PRIOR = -4.6


def parted(outputs: Float[Array, "*N h w K4"]) -> tuple[Float[Array, "*N h w K"], Float[Array, "*N h w 4"]]:
    """The logits of all classes, and the boxes in shares of the image."""
    return outputs[..., :-4] + PRIOR, decoded(outputs[..., -4:])


def quality_focal(logits: Float[Array, "..."], quality: Float[Array, "..."]) -> Float[Array, "..."]:
    """Cross-entropy of each logit with a share, times the square of how far off it is: what is easy counts little.

    Source: Generalized Focal Loss (Li et al., 2020); of whole shares, Focal Loss (Lin et al., 2017).
    """
    off = jnp.square(jax.nn.sigmoid(logits) - quality)
    return off * (jax.nn.softplus(logits) - logits * quality)


def of_objects(outputs: Float[Array, "N B h w K4"], matches: Matches) -> Float[Array, "N B"]:
    """The loss against the objects of each image: a class should score as its box overlaps the object, and others nothing.

    Args:
        outputs: of the network.
        matches: which object each cell is to find.
    """
    logits, boxes = parted(outputs)
    found = matches.labels >= 0
    close = lax.stop_gradient(overlap(boxes, matches.boxes[None]))
    quality = close[..., None] * jax.nn.one_hot(matches.labels, logits.shape[-1], dtype=logits.dtype)[None]
    return _summed(logits, quality, boxes, matches.boxes[None], found[None].astype(logits.dtype), ~matches.ignored)


def of_teacher(outputs: Float[Array, "N B h w K4"], teacher: Float[Array, "B h w K4"]) -> Float[Array, "N B"]:
    """The loss against another network's answers: its scores, and its boxes as far as it is sure of them."""
    logits, boxes = parted(outputs)
    taught, wanted = parted(lax.stop_gradient(teacher)[None])
    quality = jax.nn.sigmoid(taught)
    return _summed(logits, quality, boxes, wanted, quality.max(-1), jnp.ones(teacher.shape[:-1], bool))


def _summed(
    logits: Float[Array, "N B h w K"],
    quality: Float[Array, "_ B h w K"],
    boxes: Float[Array, "N B h w 4"],
    wanted: Float[Array, "1 B h w 4"],
    weights: Float[Array, "1 B h w"],
    learns: Bool[Array, "B h w"],
) -> Float[Array, "N B"]:
    # Over the number of cells with an object; an image without one has the sum of its scores.
    count = jnp.maximum(weights.sum((-1, -2)), 1)
    classes = jnp.where(learns[None, ..., None], quality_focal(logits, quality), 0).sum((-1, -2, -3))
    apart = (weights * (1 - generalised_overlap(boxes, wanted))).sum((-1, -2))
    return (classes + BOX_WEIGHT * apart) / count
