"""Boxes: (left, top, right, bottom), here in shares of the image's width and height, so that no size has to be known.

Resizing an image along both axes, each by its own factor, changes no overlap.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

# Keeps a quotient of empty boxes finite.
TINY = 1e-9


def area(boxes: Float[Array, "... 4"]) -> Float[Array, "..."]:
    """Width times height; 0 for a box that ends before it begins."""
    size = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return size[..., 0] * size[..., 1]


def overlap(a: Float[Array, "... 4"], b: Float[Array, "... 4"]) -> Float[Array, "..."]:
    """Intersection over union of boxes with boxes, 0 where both are empty; leading axes are broadcast."""
    shared = _shared(a, b)
    return shared / jnp.maximum(area(a) + area(b) - shared, TINY)


def generalised_overlap(a: Float[Array, "... 4"], b: Float[Array, "... 4"]) -> Float[Array, "..."]:
    """Intersection over union, less the share of the smallest box around both that belongs to neither: in (−1, 1], and with
    a gradient also where boxes lie apart.

    Source: Generalized Intersection over Union (Rezatofighi et al., 2019).
    """
    shared = _shared(a, b)
    union = area(a) + area(b) - shared
    around = area(jnp.concatenate([jnp.minimum(a[..., :2], b[..., :2]), jnp.maximum(a[..., 2:], b[..., 2:])], -1))
    return shared / jnp.maximum(union, TINY) - (around - union) / jnp.maximum(around, TINY)


def _shared(a: Array, b: Array) -> Array:
    return area(jnp.concatenate([jnp.maximum(a[..., :2], b[..., :2]), jnp.minimum(a[..., 2:], b[..., 2:])], -1))


def centres(rows: int, columns: int) -> Float[Array, "rows columns 2"]:
    """The middle (x, y) of every cell of a grid over an image."""
    x, y = ((jnp.arange(count, dtype=jnp.float32) + 0.5) / count for count in (columns, rows))
    return jnp.stack(jnp.meshgrid(x, y), -1)


def decoded(raw: Float[Array, "... h w 4"]) -> Float[Array, "... h w 4"]:
    """Boxes from what a network says about each cell of a grid.

    Args:
        raw: how far the middle of the box lies from that of the cell, (x, y) in cells; and the logarithm of its width and
            height in units of `UNIT` cells.
    """
    rows, columns = raw.shape[-3:-1]
    cell = jnp.asarray([1 / columns, 1 / rows], raw.dtype)
    middle = centres(rows, columns).astype(raw.dtype).reshape((1,) * (raw.ndim - 3) + (rows, columns, 2))
    cell = cell.reshape((1,) * (raw.ndim - 1) + (2,))
    middle = middle + raw[..., :2] * cell
    # Far out, an exponential would be infinite, and so would be its gradient.
    half = jnp.exp(jnp.clip(raw[..., 2:], -LARGEST, LARGEST)) * (UNIT / 2) * cell
    return jnp.concatenate([middle - half, middle + half], -1)


# A network that says nothing yet finds boxes of so many cells.
UNIT = 4.0
# Of the logarithm of a size.
LARGEST = 5.0
