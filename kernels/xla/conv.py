"""The forward product and the input gradient of a dense convolution, in the forms that XLA runs fastest on a CPU.

XLA rewrites a convolution with exchanged dimensions to NHWC · HWIO only at a program's top level; inside a loop it
falls back to scalar code, 10 to 60 times slower. So the gradients, here and in `weights`, are written with explicit
transposes. See docs/kernels.md for what was measured.
"""

import functools
import operator
from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from ..geometry import DIMENSIONS, Padding, Strides, is_pointwise, out_size
from .primitives import accumulator, convolve, dot, pixels, windows


def conv(x: Array, w: Array, *, strides: Strides, padding: Padding, dilated: bool = False) -> Array:
    """Returns [B, H', W', K], the convolution of x [B, H, W, C] with w [kh, kw, C, K]."""
    if is_pointwise(w.shape[:2], strides, padding):
        return dot(pixels(x), w[0, 0], (1,), (0,)).reshape(*x.shape[:3], w.shape[3])
    return convolve(x, w, strides, padding, dilated)


def conv_by_taps(x: Array, w: Array, *, strides: Strides, padding: Padding) -> Array:
    """Returns the convolution as one sum of outer products, a single fused loop: for very few input channels."""
    if 0 in w.shape:
        return conv(x, w, strides=strides, padding=padding)
    out = out_size(x.shape[1:3], w.shape[:2], strides, padding)
    dtype = accumulator(x)
    taps = w.reshape(-1, *w.shape[2:]).astype(dtype)
    terms = (
        window[..., c : c + 1].astype(dtype) * tap[c][None, None, None]
        for window, tap in zip(windows(x, out, w.shape, strides, padding), taps, strict=True)
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
        preferred_element_type=accumulator(x),
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
    if is_pointwise(w.shape[:2], strides, padding):
        return dot(pixels(dy), w[0, 0], (1,), (1,)).reshape(x_shape)
    flipped = w[::-1, ::-1].swapaxes(2, 3)
    pads = _gradient_pads(x_shape, dy.shape, w.shape, strides, padding)
    return convolve(dy, flipped, (1, 1), pads, dilated, spread=strides)


def input_gradient_by_rows(
    dy: Array, w: Array, *, x_shape: tuple[int, ...], strides: Strides, padding: Padding
) -> Array:
    """Returns dx: each row of dy convolved along the width with all kernel rows at once, the results added in place.

    Saves the products with the rows of zeros that pad dy, and gives small C a wider matrix product.
    """
    kh, kw, in_channels, _ = w.shape
    rows = w[:, ::-1].transpose(1, 3, 0, 2).reshape(1, kw, w.shape[3], kh * in_channels)
    _, across = _gradient_pads(x_shape, dy.shape, w.shape, strides, padding)
    dtype = accumulator(dy)
    spread = lax.conv_general_dilated(
        dy,
        rows,
        (1, 1),
        ((0, 0), across),
        lhs_dilation=(1, strides[1]),
        dimension_numbers=DIMENSIONS,
        preferred_element_type=dtype,
    ).reshape(*dy.shape[:2], x_shape[2], kh, in_channels)
    reach = (dy.shape[1] - 1) * strides[0] + 1
    dx = jnp.zeros(x_shape, dtype)
    for p in range(kh):
        low = p - padding[0][0]
        place = ((0, 0, 0), (low, x_shape[1] - reach - low, strides[0] - 1), (0, 0, 0), (0, 0, 0))
        dx += lax.pad(spread[..., p, :], jnp.zeros((), dtype), place)
    return dx


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
