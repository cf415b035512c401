"""From the pixels of objects to classes, and from coarse logits to fine ones.

Dimensions: N widths, B examples of a batch, M objects, H height, W width, h and w of coarser ones, K classes, the background
among them.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# The class of a pixel that counts for nothing: of a crowd, whose objects are not told apart.
IGNORED = -1


def classes(targets: Mapping[str, Any]) -> Int[Array, "B H W"]:
    """The class of every pixel: 0 is the background, 1 + k the category k, `IGNORED` a crowd's.

    Args:
        targets: `instances`, `categories` and `crowd`, as arrays of JAX or of NumPy.
    """
    instances = jnp.asarray(targets["instances"], jnp.int32)
    of_objects = jnp.where(jnp.asarray(targets["crowd"]), IGNORED, jnp.asarray(targets["categories"]) + 1)
    table = jnp.pad(of_objects.astype(jnp.int32), ((0, 0), (1, 0)))
    flat = instances.reshape(len(instances), -1)
    return jnp.take_along_axis(table, flat, 1).reshape(instances.shape)


def shares(labels: Int[Array, "B H W"], size: tuple[int, int], count: int) -> Float[Array, "B h w K"]:
    """How much of every coarse pixel each class takes; what is ignored takes nothing, so that shares may add up to less than 1.

    Args:
        labels: of fine pixels, see `classes`.
        size: h and w, of which H and W are multiples.
        count: K.

    Raises:
        ValueError: if they are not.
    """
    rows, columns = _factor(labels.shape[1:], size)
    hot = jax.nn.one_hot(labels, count, dtype=jnp.float32)
    return hot.reshape(len(labels), size[0], rows, size[1], columns, count).mean((2, 4))


def enlarged(logits: Float[Array, "*N h w K"], size: tuple[int, int]) -> Float[Array, "*N H W K"]:
    """Logits at fine pixels, which lie between coarse ones: linear in both directions, constant beyond the outermost.

    Args:
        logits: of coarse pixels.
        size: H and W, multiples of h and w.

    Raises:
        ValueError: if they are not.
    """
    factors = _factor(size, logits.shape[-3:-1])
    for axis, factor in zip((-3, -2), factors, strict=True):
        logits = _finer(logits, logits.ndim + axis, factor)
    return logits


def _finer(x: Array, axis: int, factor: int) -> Array:
    if factor == 1:
        return x
    last = x.shape[axis] - 1
    before = jnp.concatenate([_cut(x, axis, 0, 1), _cut(x, axis, 0, last)], axis)
    after = jnp.concatenate([_cut(x, axis, 1, last + 1), _cut(x, axis, last, last + 1)], axis)
    # Where the middle of each fine pixel lies, from that of its coarse one.
    offsets = [(2 * i + 1 - factor) / (2 * factor) for i in range(factor)]
    fine = [(1 - abs(d)) * x + abs(d) * (before if d < 0 else after) for d in offsets]
    shape = (*x.shape[:axis], factor * x.shape[axis], *x.shape[axis + 1 :])
    return jnp.stack(fine, axis + 1).reshape(shape)


def _cut(x: Array, axis: int, start: int, stop: int) -> Array:
    return jax.lax.slice_in_dim(x, start, stop, axis=axis)


def _factor(fine: tuple[int, ...], coarse: tuple[int, ...]) -> tuple[int, int]:
    if any(large % small for large, small in zip(fine, coarse, strict=True)):
        raise ValueError(f"images of {fine} pixels must be multiples of the {coarse} pixels that a network answers for")
    return fine[0] // coarse[0], fine[1] // coarse[1]
