"""What the products in this folder are made of: a convolution, a matrix product, windows.

Results have the dtype that they were accumulated in, at least float32: what adds some of them up rounds once.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from ..geometry import DIMENSIONS, Padding, Strides
from ..target import current_platform

VECTOR = 16  # float32 values in the widest vector of a CPU


def convolve(
    x: Array,
    w: Array,
    strides: Strides,
    padding: Sequence[tuple[int, int]],
    dilated: bool,
    spread: Strides = (1, 1),
    reach: Strides = (1, 1),
) -> Array:
    """Returns x, dilated by `spread`, convolved with w, dilated by `reach`.

    XLA on a CPU hands convolutions to YNNPACK, which runs narrow ones on one core, unless x is dilated. With `dilated`,
    rows are twice as far apart, under a kernel with rows twice as far apart, at twice the stride: the same products, and
    Eigen runs them, as fast as the plain form where it reads whole vectors of channels.
    """
    if dilated and current_platform() == "cpu" and spread == (1, 1) and x.shape[3] % VECTOR == 0:
        (sh, sw), (low, high), spread = strides, padding[0], (2, 1)
        strides, padding, reach = (2 * sh, sw), ((2 * low, 2 * high), padding[1]), (2 * reach[0], reach[1])
    return lax.conv_general_dilated(
        x,
        w,
        strides,
        padding,
        lhs_dilation=spread,
        rhs_dilation=reach,
        dimension_numbers=DIMENSIONS,
        preferred_element_type=accumulator(x),
    )


def windows(
    x: Array, out: tuple[int, ...], w_shape: tuple[int, ...], strides: Strides, padding: Padding
) -> list[Array]:
    """Returns, for each tap, the pixels [B, H', W', C] that it reads; `out` is (H', W')."""
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    (sh, sw), (out_h, out_w) = strides, out
    return [
        x[:, p : p + sh * (out_h - 1) + 1 : sh, q : q + sw * (out_w - 1) + 1 : sw]
        for p in range(w_shape[0])
        for q in range(w_shape[1])
    ]


def dot(a: Array, b: Array, a_axes: tuple[int, ...], b_axes: tuple[int, ...]) -> Array:
    """Returns the product of a and b, summed over the given axes of each."""
    return lax.dot_general(a, b, ((a_axes, b_axes), ((), ())), preferred_element_type=accumulator(a))


def pixels(x: Array) -> Array:
    """Returns x [B, H, W, C] as a matrix [B·H·W, C]: XLA on a CPU takes up to 1.3 times as long where it sees the image."""
    return x.reshape(math.prod(x.shape[:3]), x.shape[3])


def accumulator(x: Array) -> DTypeLike:
    """Returns the dtype to sum products of x in."""
    return x.dtype if x.dtype.itemsize >= 4 else jnp.dtype("float32")
