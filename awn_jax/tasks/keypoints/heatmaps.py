"""Heat maps: for each key point, how likely it is to lie in each cell of a grid over the image.

A place is (x, y) in shares of the image's width and height, so that no size has to be known.

Dimensions: h and w cells, K key points; in front of them any axes.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Standard deviation, in cells, of the heat around a key point.
SPREAD = 1.0
# Cells on each side of the hottest one whose heat says how sure a place is.
NEAR = 2


def heat(places: Float[Array, "... K 2"], rows: int, columns: int) -> Float[Array, "... h w K"]:
    """The shares of the cells, which add up to 1: a Gaussian around each place.

    Args:
        places: of the key points.
        rows: h.
        columns: w.
    """

    def off(axis: int, count: int) -> Float[Array, "... K _"]:
        middles = jnp.arange(count, dtype=places.dtype).reshape((1,) * (places.ndim - 1) + (-1,)) + 0.5
        return middles - count * places[..., axis, None]

    logs = [-jnp.square(off(axis, count)) / (2 * SPREAD**2) for axis, count in ((1, rows), (0, columns))]
    # Along rows and columns by themselves: the product of two Gaussians is one of both.
    down, across = (jnp.moveaxis(jax.nn.softmax(one), -1, -2) for one in logs)
    return down[..., :, None, :] * across[..., None, :, :]


def cross_entropy(logits: Float[Array, "... h w K"], shares: Float[Array, "... h w K"]) -> Float[Array, "... K"]:
    """How badly logits foretell the shares of the cells, for each key point; 0 if they are as sure as they can be.

    The entropy of the shares is taken out.
    """
    logs = jax.nn.log_softmax(logits, (-3, -2))
    known = jnp.where(shares > 0, shares * jnp.log(jnp.where(shares > 0, shares, 1)), 0)
    return (known - shares * logs).sum((-3, -2))


def located(logits: Float[Array, "... h w K"]) -> tuple[Float[Array, "... K 2"], Float[Array, "... K"]]:
    """The place of each key point, finer than a cell, and how sure that is: the share of the heat that lies near it.

    Through the logit of the hottest cell and those beside it goes a parabola, along rows and along columns; its top is the
    place. That is exact for Gaussian heat. A cell at the edge of the image is taken at its middle.

    Source: the logarithm of a heat map's Taylor series, Distribution-Aware Coordinate Representation (Zhang et al., 2020).
    """
    rows, columns, points = logits.shape[-3:]
    flat = logits.reshape(*logits.shape[:-3], rows * columns, points)
    peak = flat.argmax(-2)
    at = (peak % columns, peak // columns)

    def value(dx: int, dy: int) -> Float[Array, "... K"]:
        x, y = jnp.clip(at[0] + dx, 0, columns - 1), jnp.clip(at[1] + dy, 0, rows - 1)
        return jnp.take_along_axis(flat, (y * columns + x)[..., None, :], -2)[..., 0, :]

    top, places = value(0, 0), []
    for axis, count in ((0, columns), (1, rows)):
        before, after = (value(*((step, 0) if axis == 0 else (0, step))) for step in (-1, 1))
        bend = before - 2 * top + after
        inside = (at[axis] > 0) & (at[axis] < count - 1) & (bend < 0)
        shift = jnp.where(inside, (before - after) / (2 * jnp.where(inside, bend, 1)), 0)
        places.append((at[axis].astype(logits.dtype) + 0.5 + jnp.clip(shift, -0.5, 0.5)) / count)
    cells = jnp.arange(rows * columns).reshape((1,) * (flat.ndim - 2) + (-1, 1))
    near = [
        jnp.abs(index - one[..., None, :]) <= NEAR
        for index, one in zip((cells % columns, cells // columns), at, strict=True)
    ]
    sure = jnp.where(near[0] & near[1], jax.nn.softmax(flat, -2), 0).sum(-2)
    return jnp.stack(places, -1), sure
