"""The three products of a dense convolution, in the forms that XLA runs fastest on a CPU.

XLA rewrites a convolution with exchanged dimensions to NHWC · HWIO only at a program's top level; inside a loop it
falls back to scalar code, 10 to 60 times slower. So both gradients are written here with explicit transposes. See
docs/kernels.md for what was measured.

Results have the dtype that they were accumulated in, at least float32: what adds some of them up rounds once.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from .backend import Padding, Strides
from .target import current_platform

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
POINT: Padding = ((0, 0), (0, 0))
VECTOR = 16  # float32 values in the widest vector of a CPU


def conv(x: Array, w: Array, *, strides: Strides, padding: Padding, dilated: bool = False) -> Array:
    """Returns [B, H', W', K], the convolution of x [B, H, W, C] with w [kh, kw, C, K]."""
    if _is_matmul(w.shape, strides, padding):
        return _dot(_pixels(x), w[0, 0], (1,), (0,)).reshape(*x.shape[:3], w.shape[3])
    return _convolve(x, w, strides, padding, dilated)


def conv_by_taps(x: Array, w: Array, *, strides: Strides, padding: Padding) -> Array:
    """Returns the convolution as one sum of outer products, a single fused loop: for very few input channels."""
    if 0 in w.shape:
        return conv(x, w, strides=strides, padding=padding)
    out = tuple(
        (size + low + high - taps) // stride + 1
        for size, taps, stride, (low, high) in zip(x.shape[1:3], w.shape[:2], strides, padding, strict=True)
    )
    windows = _windows(x, out, w.shape, strides, padding)
    accumulator = _accumulator(x)
    taps = w.reshape(-1, *w.shape[2:]).astype(accumulator)
    terms = (
        window[..., c : c + 1].astype(accumulator) * tap[c][None, None, None]
        for window, tap in zip(windows, taps, strict=True)
        for c in range(x.shape[3])
    )
    return functools.reduce(operator.add, terms)


def conv_by_rows(x: Array, w: Array, *, strides: Strides, padding: Padding) -> Array:
    """Returns the convolution: each row of x convolved along the width with all kernel rows at once, the results added.

    A product with few outputs does not pay for gathering its inputs into patches. These patches are `kh` times smaller and
    lie side by side in memory, and serve `kh` times the outputs.
    """
    kh, kw, in_channels, out_channels = w.shape
    rows = w.transpose(1, 2, 0, 3).reshape(1, kw, in_channels, kh * out_channels)
    spread = lax.conv_general_dilated(
        x,
        rows,
        (1, strides[1]),
        ((0, 0), padding[1]),
        dimension_numbers=DIMENSIONS,
        preferred_element_type=_accumulator(x),
    )
    spread = spread.reshape(*spread.shape[:3], kh, out_channels)
    low, high = padding[0]
    zero = jnp.zeros((), spread.dtype)
    terms = []
    for p in range(kh):
        # Row i of the result takes row i + p - low of x; where there is none, lax.pad crops or fills up.
        place = ((0, 0, 0), (low - p, high - (kh - 1 - p), 0), (0, 0, 0), (0, 0, 0))
        terms.append(lax.pad(spread[..., p, :], zero, place)[:, :: strides[0]])
    return functools.reduce(operator.add, terms)


def input_gradient(
    dy: Array, w: Array, *, x_shape: tuple[int, ...], strides: Strides, padding: Padding, dilated: bool = False
) -> Array:
    """Returns dx [B, H, W, C]: dy [B, H', W', K], dilated by the strides, convolved with the flipped kernel."""
    if _is_matmul(w.shape, strides, padding):
        return _dot(_pixels(dy), w[0, 0], (1,), (1,)).reshape(x_shape)
    flipped = w[::-1, ::-1].swapaxes(2, 3)
    pads = _gradient_pads(x_shape, dy.shape, w.shape, strides, padding)
    return _convolve(dy, flipped, (1, 1), pads, dilated, spread=strides)


def input_gradient_by_rows(
    dy: Array, w: Array, *, x_shape: tuple[int, ...], strides: Strides, padding: Padding
) -> Array:
    """Returns dx: each row of dy convolved along the width with all kernel rows at once, the results added in place.

    Saves the products with the rows of zeros that pad dy, and gives small C a wider matrix product.
    """
    kh, kw, in_channels, _ = w.shape
    rows = w[:, ::-1].transpose(1, 3, 0, 2).reshape(1, kw, w.shape[3], kh * in_channels)
    _, across = _gradient_pads(x_shape, dy.shape, w.shape, strides, padding)
    accumulator = _accumulator(dy)
    spread = lax.conv_general_dilated(
        dy,
        rows,
        (1, 1),
        ((0, 0), across),
        lhs_dilation=(1, strides[1]),
        dimension_numbers=DIMENSIONS,
        preferred_element_type=accumulator,
    ).reshape(*dy.shape[:2], x_shape[2], kh, in_channels)
    reach = (dy.shape[1] - 1) * strides[0] + 1
    dx = jnp.zeros(x_shape, accumulator)
    for p in range(kh):
        low = p - padding[0][0]
        place = ((0, 0, 0), (low, x_shape[1] - reach - low, strides[0] - 1), (0, 0, 0), (0, 0, 0))
        dx += lax.pad(spread[..., p, :], jnp.zeros((), accumulator), place)
    return dx


def weight_gradient(
    x: Array, dy: Array, *, w_shape: tuple[int, ...], strides: Strides, padding: Padding, dilated: bool = False
) -> Array:
    """Returns dw [kh, kw, C, K] as a convolution over the batch: x as [C, H, W, B], dy as a kernel [H', W', B, K]."""
    if _is_matmul(w_shape, strides, padding):
        return _dot(_pixels(x), _pixels(dy), (0,), (0,))[None, None]
    pads = [
        (low, taps + (out - 1) * stride - size - low)
        for size, out, taps, stride, (low, _) in zip(
            x.shape[1:3], dy.shape[1:3], w_shape[:2], strides, padding, strict=True
        )
    ]
    batch_last, kernel = x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3)
    return _convolve(batch_last, kernel, (1, 1), pads, dilated, reach=strides).transpose(1, 2, 0, 3)


def weight_gradient_by_patches(
    x: Array, dy: Array, *, w_shape: tuple[int, ...], strides: Strides, padding: Padding
) -> Array:
    """Returns dw as one matrix product with gathered patches [kh·kw·C, pixels]: for very few input channels."""
    windows = _windows(x, dy.shape[1:3], w_shape, strides, padding)
    patches = jnp.concatenate([window.transpose(3, 0, 1, 2) for window in windows])
    return _dot(patches, dy, (1, 2, 3), (0, 1, 2)).reshape(w_shape)


FORWARD: dict[str, Callable[..., Array]] = {
    "convolution": conv,
    "dilated": functools.partial(conv, dilated=True),
    "rows": conv_by_rows,
    "taps": conv_by_taps,
}
INPUT_GRADIENT: dict[str, Callable[..., Array]] = {
    "convolution": input_gradient,
    "dilated": functools.partial(input_gradient, dilated=True),
    "rows": input_gradient_by_rows,
}
WEIGHT_GRADIENT: dict[str, Callable[..., Array]] = {
    "convolution": weight_gradient,
    "dilated": functools.partial(weight_gradient, dilated=True),
    "patches": weight_gradient_by_patches,
}


def _convolve(
    x: Array,
    w: Array,
    strides: Strides,
    padding: Sequence[tuple[int, int]],
    dilated: bool,
    spread: Strides = (1, 1),
    reach: Strides = (1, 1),
) -> Array:
    # x is dilated by `spread`, w by `reach`. XLA on a CPU hands convolutions to YNNPACK, which runs narrow ones on one
    # core, unless x is dilated. Rows twice as far apart, under a kernel with rows twice as far apart, at twice the stride:
    # the same products, and Eigen runs them, as fast as the plain form where it reads whole vectors of channels.
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
        preferred_element_type=_accumulator(x),
    )


def _gradient_pads(
    x_shape: tuple[int, ...], dy_shape: tuple[int, ...], w_shape: tuple[int, ...], strides: Strides, padding: Padding
) -> list[tuple[int, int]]:
    # Negative where strides leave border pixels that no window covers: lax then crops. Padding stays within the kernel's reach.
    return [
        (taps - 1 - low, size - 1 - (out - 1) * stride + low)
        for size, out, taps, stride, (low, _) in zip(
            x_shape[1:3], dy_shape[1:3], w_shape[:2], strides, padding, strict=True
        )
    ]


def _windows(
    x: Array, out: tuple[int, ...], w_shape: tuple[int, ...], strides: Strides, padding: Padding
) -> list[Array]:
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    (sh, sw), (out_h, out_w) = strides, out
    return [
        x[:, p : p + sh * (out_h - 1) + 1 : sh, q : q + sw * (out_w - 1) + 1 : sw]
        for p in range(w_shape[0])
        for q in range(w_shape[1])
    ]


def _dot(a: Array, b: Array, a_axes: tuple[int, ...], b_axes: tuple[int, ...]) -> Array:
    return lax.dot_general(a, b, ((a_axes, b_axes), ((), ())), preferred_element_type=_accumulator(a))


def _pixels(x: Array) -> Array:
    # Products of matrices alone: XLA on a CPU takes up to 1.3 times as long where it sees the image.
    return x.reshape(math.prod(x.shape[:3]), x.shape[3])


def _accumulator(x: Array) -> DTypeLike:
    return jnp.float32 if jnp.finfo(x.dtype).bits < 32 else x.dtype


def _is_matmul(w_shape: tuple[int, ...], strides: Strides, padding: Padding) -> bool:
    return w_shape[:2] == (1, 1) and strides == (1, 1) and padding == POINT
