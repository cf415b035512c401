"""The weight gradient, in the forms that XLA runs fastest on a CPU; in the dtype that it was accumulated in."""

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from ..geometry import Padding, Strides, is_pointwise
from .primitives import convolve, dot, pixels, windows


def weight_gradient(
    x: Array, dy: Array, *, w_shape: tuple[int, ...], strides: Strides, padding: Padding, dilated: bool = False
) -> Array:
    """Returns dw [kh, kw, C, K] as a convolution over the batch: x as [C, H, W, B], dy as a kernel [H', W', B, K]."""
    if is_pointwise(w_shape[:2], strides, padding):
        return dot(pixels(x), pixels(dy), (0,), (0,))[None, None]
    pads = [
        (low, taps + (out - 1) * stride - size - low)
        for size, out, taps, stride, (low, _) in zip(
            x.shape[1:3], dy.shape[1:3], w_shape[:2], strides, padding, strict=True
        )
    ]
    batch_last, kernel = x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3)
    return convolve(batch_last, kernel, (1, 1), pads, dilated, reach=strides).transpose(1, 2, 0, 3)


def weight_gradient_by_patches(
    x: Array, dy: Array, *, w_shape: tuple[int, ...], strides: Strides, padding: Padding
) -> Array:
    """Returns dw as one matrix product with gathered patches [kh·kw·C, pixels]: for very few input channels."""
    read = windows(x, dy.shape[1:3], w_shape, strides, padding)
    patches = jnp.concatenate([window.transpose(3, 0, 1, 2) for window in read])
    return dot(patches, dy, (1, 2, 3), (0, 1, 2)).reshape(w_shape)


WEIGHT_GRADIENT: dict[str, Callable[..., Array]] = {
    "convolution": weight_gradient,
    "dilated": functools.partial(weight_gradient, dilated=True),
    "patches": weight_gradient_by_patches,
}
