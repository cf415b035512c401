"""Transforms that put two images of a batch together, and their labels in the same shares.

Each image meets its neighbour in the batch, whose order is drawn anew for every epoch.

Dimensions: B batch, H height, W width, P planes, K classes.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num, PRNGKeyArray

from awn_jax.data.transforms.device import as_stored, drawn
from awn_jax.data.transforms.places import check_alone

Examples = dict[str, Any]


def mixup(key: PRNGKeyArray, examples: Examples, classes: int, alpha: float = 0.2, share: float = 1.0) -> Examples:
    """Each image and its label averaged with another's, with weights λ and 1 − λ, λ drawn from Beta(α, α).

    Args:
        key: of the random numbers.
        examples: labels [B], or shares of the classes [B, K].
        classes: K.
        alpha: α, above 0; the larger, the more evenly are two mixed.
        share: of the images that are mixed.

    Returns:
        Examples with shares of the classes [B, K] for labels.

    Source: mixup: Beyond Empirical Risk Minimization (Zhang et al., 2018).
    """
    check_alone(examples, "mixup")
    images = examples["image"]
    weight_key, share_key = jax.random.split(key)
    weight = _weights(weight_key, share_key, images, alpha, share)
    mixed = weight * images.astype(jnp.float32) + (1 - weight) * _next(images).astype(jnp.float32)
    return {**examples, "image": as_stored(mixed, images), "label": _labels(examples, weight, classes)}


def cutmix(key: PRNGKeyArray, examples: Examples, classes: int, alpha: float = 1.0, share: float = 1.0) -> Examples:
    """A rectangle of each image replaced by the same one of another; the label mixed by the areas.

    The rectangle has the image's proportions and a share 1 − λ of its area, λ drawn from Beta(α, α); its centre lies anywhere,
    and what reaches past the image is cut off, which the label's shares take into account.

    Args:
        key: of the random numbers.
        examples: labels [B], or shares of the classes [B, K].
        classes: K.
        alpha: α, above 0.
        share: of the images that are changed.

    Returns:
        Examples with shares of the classes [B, K] for labels.

    Source: CutMix (Yun et al., 2019).
    """
    check_alone(examples, "cutmix")
    images = examples["image"]
    weight_key, share_key, row_key, column_key = jax.random.split(key, 4)
    side = jnp.sqrt(1 - _weights(weight_key, share_key, images, alpha, share))[:, 0, 0, 0]
    rows, columns = _span(row_key, side, images.shape[1]), _span(column_key, side, images.shape[2])
    inside = rows[:, :, None, None] & columns[:, None, :, None]
    kept = 1 - inside.mean((1, 2, 3), dtype=jnp.float32, keepdims=True)
    label = _labels(examples, kept, classes)
    return {**examples, "image": jnp.where(inside, _next(images), images), "label": label}


def _weights(
    key: PRNGKeyArray, share_key: PRNGKeyArray, images: Num[Array, "B H W P"], alpha: float, share: float
) -> Float[Array, "B 1 1 1"]:
    weight = jax.random.beta(key, jnp.float32(alpha), jnp.float32(alpha), (len(images), 1, 1, 1), jnp.float32)
    return jnp.where(drawn(share_key, share, images), weight, jnp.float32(1))


def _span(key: PRNGKeyArray, side: Float[Array, " B"], length: int) -> Bool[Array, "B length"]:
    """Which of `length` pixels in a row lie within half of `side · length` of a centre drawn for each image."""
    centre = jax.random.uniform(key, (len(side), 1), jnp.float32) * length
    middles = jnp.arange(length, dtype=jnp.float32)[None] + jnp.float32(0.5)
    return jnp.abs(middles - centre) < side[:, None] * jnp.float32(length / 2)


def _labels(examples: Examples, weight: Float[Array, "B 1 1 1"], classes: int) -> Float[Array, "B K"]:
    labels: Int[Array, " B"] | Float[Array, "B K"] = examples["label"]
    shares = jax.nn.one_hot(labels, classes, dtype=jnp.float32) if labels.ndim == 1 else labels
    weight = weight[:, :, 0, 0]
    return weight * shares + (1 - weight) * _next(shares)


def _next(values: Num[Array, "B ..."]) -> Num[Array, "B ..."]:
    return jnp.roll(values, 1, 0)
