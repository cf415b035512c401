"""A batch of examples mirrored, transposed or shifted, with all that has a place in an image moved along; pure functions.

Dimensions: B batch, H height, W width, M objects, K key points of an object.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

Examples = dict[str, Any]
# What has a place in an image, see `geometry.moved`; `categories` say which objects are there.
PLACED = ("image", "instances", "boxes", "points", "categories")


def either(chosen: Bool[Array, "B 1 1 1"], changed: Examples, examples: Examples) -> Examples:
    """The changed examples where chosen, the others as they were."""

    def one(new: Array, old: Array) -> Array:
        return jnp.where(chosen.reshape((-1,) + (1,) * (old.ndim - 1)), new, old)

    return {**examples, **{name: one(changed[name], examples[name]) for name in PLACED if name in examples}}


def mirrored(examples: Examples, pairs: tuple[tuple[int, int], ...] = ()) -> Examples:
    """Examples left to right.

    Args:
        examples: the batch.
        pairs: numbers of key points that change places.
    """
    width = examples["image"].shape[2]
    found: Examples = {name: examples[name][:, :, ::-1] for name in ("image", "instances") if name in examples}
    if "boxes" in examples:
        left, upper, right, lower = jnp.moveaxis(examples["boxes"], -1, 0)
        there = right > left
        found["boxes"] = jnp.stack(
            [jnp.where(there, width - right, left), upper, jnp.where(there, width - left, right), lower], -1
        )
    if "points" in examples:
        points = _paired(examples["points"], pairs)
        found["points"] = jnp.concatenate([width - points[..., :1], points[..., 1:]], -1)
    return {**examples, **found}


def transposed(examples: Examples, pairs: tuple[tuple[int, int], ...] = ()) -> Examples:
    """Examples with rows and columns exchanged; arguments are those of `mirrored`."""
    found: Examples = {name: examples[name].swapaxes(1, 2) for name in ("image", "instances") if name in examples}
    if "boxes" in examples:
        found["boxes"] = examples["boxes"][..., np.array([1, 0, 3, 2])]
    if "points" in examples:
        found["points"] = _paired(examples["points"], pairs)[..., np.array([1, 0, 2])]
    return {**examples, **found}


def shifted(examples: Examples, by: Int[Array, "B 2"]) -> Examples:
    """What goes with images that are moved by so many pixels down and to the right; the images themselves are left."""
    found: Examples = {}
    height, width = examples["image"].shape[1:3]
    across = by[:, None, ::-1].astype(jnp.float32)
    limits = jnp.array([[[width, height]]], jnp.float32)
    if "boxes" in examples:
        ends = [jnp.clip(end + across, 0, limits) for end in jnp.split(examples["boxes"], 2, -1)]
        there = (ends[1] - ends[0] >= 1).all(-1)
        found["boxes"] = jnp.concatenate(ends, -1)
        found["categories"] = jnp.where(there, examples["categories"], -1)
    if "points" in examples:
        points = examples["points"]
        places = points[..., :2] + across[:, None]
        inside = ((places >= 0) & (places <= limits[None])).all(-1, keepdims=True)
        found["points"] = jnp.concatenate([places, jnp.where(inside, points[..., 2:], 0)], -1)
    if "instances" in examples:
        found["instances"] = jax.vmap(_rolled_in)(examples["instances"], by)
    return {**examples, **found}


def _rolled_in(values: Int[Array, "H W"], by: Int[Array, " 2"]) -> Int[Array, "H W"]:
    """Values moved down and to the right, zeros coming in."""
    height, width = values.shape
    wide = jnp.pad(values, ((height, height), (width, width)))
    return lax.dynamic_slice(wide, (height - by[0], width - by[1]), (height, width))


def _paired(points: Float[Array, "B M K 3"], pairs: tuple[tuple[int, int], ...]) -> Float[Array, "B M K 3"]:
    order = list(range(points.shape[2]))
    for one, other in pairs:
        order[one], order[other] = other, one
    return points[:, :, np.array(order)]


def check_alone(examples: Mapping[str, Any], name: str) -> None:
    """Raises ValueError if images hold objects, whose places a transform of this name would not move along."""
    if "boxes" in examples:
        raise ValueError(f"augment: {name} does not move objects along, and is for images of one class each")
