"""Whether the kernels' numbers are right at a layer, against a plain float32 computation."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ...backend import PRODUCTS
from ...reference import masked
from ...shapes import Shape
from ...staircase import mask

# bfloat16 results of float32 sums: half a unit in the last of 8 bits, about 1.7e-3 of the norm.
MAX_RELATIVE_ERROR = 4e-3


class Exact(NamedTuple):
    """Inputs of a layer, and what the three products should give."""

    x: Array
    w: Array
    dy: Array
    results: dict[str, Array]


def random_arrays(layer: Shape, seed: int) -> tuple[Array, Array, Array]:
    """Returns (x, w, dy); w is large garbage past the staircase, which must not matter."""
    keys = jax.random.split(jax.random.key(seed), 3)
    shapes = (layer.x_shape, layer.w_shape, layer.y_shape)
    x, w, dy = (jax.random.normal(k, shape, jnp.bfloat16) for k, shape in zip(keys, shapes, strict=True))
    return x, jnp.where(mask(layer.visible, layer.in_channels), w, 1e4).astype(w.dtype), dy


def exact(layer: Shape, seed: int = 0) -> Exact:
    """Computes the three products in float32, tap by tap, through no convolution library."""
    x, w, dy = random_arrays(layer, seed)

    @jax.jit
    def compute(x: Array, w: Array, dy: Array) -> tuple[Array, Array, Array]:
        full = jax.tree.map(lambda a: a.astype(jnp.float32), (x, w))
        y, pull = jax.vjp(functools.partial(_conv, layer=layer), *full)
        return y, *pull(dy.astype(jnp.float32))

    return Exact(x, w, dy, dict(zip(PRODUCTS, compute(x, w, dy), strict=True)))


def relative_error(name: str, result: Array, expected: Exact, layer: Shape) -> float:
    """Returns ‖result − exact‖ / ‖exact‖; infinite where it is not finite or a missing weight has a gradient."""
    right = expected.results[name]
    if name == "weight_gradient":
        missing = ~mask(layer.visible, layer.in_channels)
        if bool(jnp.any(result[:, :, missing] != 0)):
            return float("inf")
    wide = result.astype(jnp.float32)
    error = float(jnp.linalg.norm(wide - right) / jnp.linalg.norm(right))
    return error if np.isfinite(error) else float("inf")


def _conv(x: Array, w: Array, layer: Shape) -> Array:
    w = masked(w, layer.visible)
    (batch, height, width, _), pad, stride = layer.y_shape, layer.padding, layer.stride
    padded = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    window = (batch, stride * (height - 1) + 1, stride * (width - 1) + 1, layer.in_channels)

    # One product for all taps, since a GPU's compiler tries out algorithms for each that it meets.
    @jax.checkpoint
    def add(y: Array, tap: tuple[Array, Array]) -> tuple[Array, None]:
        place, weights = tap
        moved = jax.lax.dynamic_slice(padded, (0, place[0], place[1], 0), window)[:, ::stride, ::stride]
        return y + jnp.einsum("bhwc,ck->bhwk", moved, weights, precision=jax.lax.Precision.HIGHEST), None

    places = jnp.asarray(list(np.ndindex(layer.kernel, layer.kernel)))
    taps = w.reshape(-1, layer.in_channels, layer.out_channels)
    return jax.lax.scan(add, jnp.zeros(layer.y_shape, jnp.float32), (places, taps))[0]
