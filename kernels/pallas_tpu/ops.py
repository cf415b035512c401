"""Triangular convolution on a TPU: implicit GEMM that visits only the blocks of weights that exist.

The kernels are in `conv` and `weights`, the array layout that they need in `layout`. The three products share one list
of blocks; the input gradient is the forward kernel with the list transposed.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from .. import staircase
from ..backend import Product
from ..geometry import Padding, Strides, is_pointwise, out_size
from ..reference import masked
from ..staircase import Visible
from ..target import current_platform
from . import conv, layout, weights
from .config import TpuConfig, block_bytes, tpu_config
from .tiles import VMEM_LIMIT, Blocks, Taps

DTYPES = ("float32", "bfloat16")


def forward(
    x: Float[Array, "B H W C"],
    w: Float[Array, "kh kw C K"],
    visible: Visible,
    *,
    strides: Strides,
    padding: Padding,
    config: TpuConfig | None = None,
) -> Float[Array, "B H2 W2 K"]:
    """Returns the convolution."""
    y_shape = _y_shape(x.shape, w.shape, strides, padding)
    if _is_image_of_points(y_shape, w.shape, strides, padding):
        y = forward(_points(x), w, visible, strides=strides, padding=padding, config=config)
        return y.reshape(y_shape)
    depth, blind = _extent(visible)
    if depth == 0:
        return jnp.zeros(y_shape, x.dtype)
    w = masked(w, visible)[:, :, :depth, blind:]
    config = config or tpu_config(y_shape, w.shape, strides, x.dtype)
    y = _convolve(x[..., :depth], w, blocks(visible[blind:], depth, config), strides, padding, y_shape, config)
    return jnp.pad(y, ((0, 0), (0, 0), (0, 0), (blind, 0)))


def input_gradient(
    dy: Float[Array, "B H2 W2 K"],
    w: Float[Array, "kh kw C K"],
    visible: Visible,
    *,
    x_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
    config: TpuConfig | None = None,
) -> Float[Array, "B H W C"]:
    """Returns dx: dy, dilated by the strides, convolved with the flipped kernel, its blocks transposed."""
    if _is_image_of_points(dy.shape, w.shape, strides, padding):
        dy, shape = _points(dy), (math.prod(x_shape[:3]), 1, 1, x_shape[3])
        dx = input_gradient(dy, w, visible, x_shape=shape, strides=strides, padding=padding, config=config)
        return dx.reshape(x_shape)
    depth, blind = _extent(visible)
    if depth == 0:
        return jnp.zeros(x_shape, dy.dtype)
    flipped = masked(w, visible)[::-1, ::-1, :depth, blind:].swapaxes(2, 3)
    config = config or tpu_config(x_shape, flipped.shape, (1, 1), dy.dtype)
    inputs, outputs = blocks(visible[blind:], depth, config)
    order = np.lexsort((outputs, inputs))
    transposed = Blocks(inputs=outputs[order], outputs=inputs[order])
    (top, _), (left, _) = padding
    before = w.shape[0] - 1 - top, w.shape[1] - 1 - left
    pads = ((before[0], 0), (before[1], 0))  # what follows the last pixel is filled up or cropped to x_shape
    dx = _convolve(_dilate(dy[..., blind:], strides), flipped, transposed, (1, 1), pads, x_shape, config)
    return jnp.pad(dx, ((0, 0), (0, 0), (0, 0), (0, x_shape[3] - depth)))


def weight_gradient(
    x: Float[Array, "B H W C"],
    dy: Float[Array, "B H2 W2 K"],
    visible: Visible,
    *,
    w_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
    config: TpuConfig | None = None,
) -> Float[Array, "kh kw C K"]:
    """Returns dw; exactly zero past the staircase."""
    if _is_image_of_points(dy.shape, w_shape, strides, padding):
        x, dy = _points(x), _points(dy)
    depth, blind = _extent(visible)
    if depth == 0:
        return jnp.zeros(w_shape, x.dtype)
    kh, kw, in_channels, out_channels = w_shape
    config = config or tpu_config(dy.shape, (kh, kw, depth, out_channels - blind), strides, x.dtype)
    visited = blocks(visible[blind:], depth, config)
    x, dy = x[..., :depth], dy[..., blind:]
    taps = Taps((kh, kw), strides)
    dw = weights.gemm_weight_gradient(
        layout.phases(x, padding, (dy.shape[1], dy.shape[2]), taps, config),
        layout.rows_first(dy, config),
        visited,
        taps,
        config,
    )[:, :, :depth, : out_channels - blind]
    # Blocks that were not visited hold garbage: select, never multiply.
    dw = jnp.where(staircase.mask(visible[blind:], depth), dw, 0).astype(x.dtype)
    return jnp.pad(dw, ((0, 0), (0, 0), (0, in_channels - depth), (blind, 0)))


def unsupported(
    x: Float[Array, "B H W C"], w: Float[Array, "kh kw C K"], visible: Visible, *, strides: Strides, padding: Padding
) -> str | None:
    """Returns why these arguments cannot run on the target platform, or None if they can."""
    if current_platform() != "tpu":
        return f'it needs a TPU, the platform is "{current_platform()}"'
    if str(x.dtype) not in DTYPES:
        return f"its dtypes are {DTYPES}, x and w are {x.dtype}"
    y_shape = _y_shape(x.shape, w.shape, strides, padding)
    if 0 in x.shape or 0 in y_shape:
        return f"x must not be empty, its shape is {x.shape}"
    for product in ("forward", "input_gradient"):
        need = vmem_bytes(product, x.shape, w.shape, strides, padding, x.dtype)
        if need > VMEM_LIMIT:
            return f"one row of x, shape {x.shape}, takes {need} bytes of VMEM, at most {VMEM_LIMIT} may be used"
    return None


def vmem_bytes(
    product: Product,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
    dtype: DTypeLike,
) -> int:
    """Returns an upper bound of the VMEM that a product's blocks take."""
    y_shape: tuple[int, ...] = _y_shape(x_shape, w_shape, strides, padding)
    if _is_image_of_points(y_shape, w_shape, strides, padding):
        x_shape, y_shape = ((math.prod(s[:3]), 1, 1, s[3]) for s in (x_shape, y_shape))
    if product == "input_gradient":
        y_shape, w_shape, strides = x_shape, (*w_shape[:2], w_shape[3], w_shape[2]), (1, 1)
    config = tpu_config(y_shape, w_shape, strides, dtype)
    return block_bytes(y_shape[2], w_shape, strides, jnp.dtype(dtype).itemsize, config)


def blocks(visible: Visible, in_channels: int, config: TpuConfig) -> Blocks:
    """Returns the blocks of weights that hold any, output tile by output tile."""
    tile_in, tile_out = min(config.channels, in_channels), min(config.channels, len(visible))
    depths = staircase.tile_depths(visible, tile_in, tile_out)
    inputs = np.concatenate([np.arange(depth) for depth in depths])
    return Blocks(inputs.astype(np.int32), np.repeat(np.arange(len(depths)), depths).astype(np.int32))


def _convolve(
    x: Array,
    w: Array,
    visited: Blocks,
    strides: Strides,
    padding: Padding,
    y_shape: tuple[int, ...],
    config: TpuConfig,
) -> Array:
    """Returns [B, H', W', K] of `y_shape`, but for its channels, which are those of w."""
    taps = Taps((w.shape[0], w.shape[1]), strides)
    pixels = layout.phases(x, padding, (y_shape[1], y_shape[2]), taps, config)
    y = conv.gemm(pixels, layout.pad_weights(w, config), visited, taps, config)
    return layout.images_first(y, (*y_shape[:3], w.shape[3]))


def _extent(visible: Visible) -> tuple[int, int]:
    """Returns how many inputs are read by any output, and how many outputs read none."""
    return visible[-1], staircase.first_reader(visible, 0)


def _is_image_of_points(y_shape: tuple[int, ...], w_shape: tuple[int, ...], strides: Strides, padding: Padding) -> bool:
    """Whether a 1×1 convolution's pixels could as well be images of their own, which fill the sublanes evenly."""
    return is_pointwise(w_shape[:2], strides, padding) and y_shape[1:3] != (1, 1)


def _points(x: Array) -> Array:
    return x.reshape(-1, 1, 1, x.shape[3])


def _dilate(dy: Array, strides: Strides) -> Array:
    if strides == (1, 1):
        return dy
    batch, rows, columns, channels = dy.shape
    spread = jnp.zeros((batch, rows, strides[0], columns, strides[1], channels), dy.dtype).at[:, :, 0, :, 0].set(dy)
    return spread.reshape(batch, rows * strides[0], columns * strides[1], channels)


def _y_shape(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], strides: Strides, padding: Padding
) -> tuple[int, int, int, int]:
    return x_shape[0], *out_size(x_shape[1:3], w_shape[:2], strides, padding), w_shape[3]
