"""The block-triangular convolution on Hopper GPUs, in Pallas Mosaic GPU. docs/kernels_gpu.md draws it.

An implicit matrix product: each step of a reduction copies the box of the image that one tap and 64 input channels need
into shared memory, and `wgmma` multiplies it by the block of weights. The reduction of a block of outputs ends at its
last visible input block; the input gradient is the same kernel on the mirrored staircase; the weight gradient computes
only blocks that exist.

bfloat16 and float16, accumulated in float32. float32 is refused: its matrix instruction (tf32) keeps 10 bits of
mantissa, and cannot read the transposed operands of the weight gradient.

The copy engine wants strides of whole 16 bytes: channels that are no multiple of 8 are padded in memory to one, and
image sizes that the stride does not divide are padded to it. Borders need no padding.
"""

import math
from typing import Any, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..backend import Product
from ..geometry import Padding, Strides, is_pointwise, out_size, round_up
from ..reference import masked
from ..staircase import Visible
from ..target import current_platform
from . import plan
from .config import ConvTiling, Tiling, WeightTiling, conv_heuristic, weight_heuristic
from .conv import block_row_product
from .launch import multiprocessors
from .layout import CHANNEL_MULTIPLE, block_weights, pad_channels, pad_low, split_phases
from .shared import interpreting
from .weights import block_weight_product

DTYPES = (jnp.bfloat16, jnp.float16)


def forward(
    x: Float[Array, "B H W C"],
    w: Float[Array, "kh kw C K"],
    visible: Visible,
    *,
    strides: Strides,
    padding: Padding,
    config: ConvTiling | None = None,
) -> Float[Array, "B H2 W2 K"]:
    """Returns y = conv(x, w · mask), visiting only the blocks of weights that exist.

    Args:
      x: [B, H, W, C] inputs.
      w: [kh, kw, C, K] weights; those past the staircase are ignored.
      visible: the staircase.
      strides: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).
      config: tile sizes, or None for the heuristic's.

    Returns:
      [B, H', W', K] outputs.
    """
    if is_pointwise(w.shape[:2], strides, padding):
        # Boxes of one row cover a list of pixels without waste.
        pixels = x.reshape(1, 1, math.prod(x.shape[:3]), -1)
        return _forward(pixels, w, visible, strides, padding, config).reshape(*x.shape[:3], w.shape[-1])
    return _forward(x, w, visible, strides, padding, config)


def input_gradient(
    dy: Float[Array, "B H2 W2 K"],
    w: Float[Array, "kh kw C K"],
    visible: Visible,
    *,
    x_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
    config: ConvTiling | None = None,
) -> Float[Array, "B H W C"]:
    """Returns dx, by the kernel of `forward` on the mirrored staircase.

    Args:
      dy: [B, H', W', K] gradient of the outputs.
      w: [kh, kw, C, K] weights; those past the staircase are ignored.
      visible: the staircase.
      x_shape: (B, H, W, C).
      strides: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).
      config: tile sizes, or None for the heuristic's.

    Returns:
      [B, H, W, C] gradient of the inputs.
    """
    if is_pointwise(w.shape[:2], strides, padding):
        flat = (1, 1, math.prod(x_shape[:3]))
        dx = _input_gradient(dy.reshape(*flat, -1), w, visible, (*flat, x_shape[3]), strides, padding, config)
        return dx.reshape(x_shape)
    return _input_gradient(dy, w, visible, x_shape, strides, padding, config)


def weight_gradient(
    x: Float[Array, "B H W C"],
    dy: Float[Array, "B H2 W2 K"],
    visible: Visible,
    *,
    w_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
    config: WeightTiling | None = None,
) -> Float[Array, "kh kw C K"]:
    """Returns dw; exactly zero past the staircase, where whole blocks are never computed.

    Args:
      x: [B, H, W, C] inputs.
      dy: [B, H', W', K] gradient of the outputs.
      visible: the staircase.
      w_shape: (kh, kw, C, K).
      strides: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).
      config: tile sizes, or None for the heuristic's.

    Returns:
      [kh, kw, C, K] gradient of the weights.
    """
    if is_pointwise(w_shape[:2], strides, padding):
        flat = (1, 1, math.prod(x.shape[:3]), -1)
        x, dy = x.reshape(flat), dy.reshape(flat)
    config = config or weight_heuristic(w_shape[2], w_shape[0] * w_shape[1])
    kernel = (w_shape[0], w_shape[1])
    padded, padding = pad_low(pad_channels(x), padding, config.pad_in_memory)
    block = (config.rows, config.columns, config.taps)
    blocks, taps = plan.weight_gradient_plan(visible, kernel, block, strides=strides, padding=padding)
    if not blocks:
        return jnp.zeros(w_shape, x.dtype)
    partial = block_weight_product(split_phases(padded, strides), pad_channels(dy), blocks, taps, config)
    dw = partial[:, :, : w_shape[2], : w_shape[3]].sum(0).reshape(w_shape)
    return masked(dw, visible).astype(x.dtype)


def default_config(
    product: Product, x_shape: tuple[int, ...], w_shape: tuple[int, ...], y_shape: tuple[int, ...], strides: Strides
) -> Tiling:
    """Returns the tile that a product takes when none is named.

    Args:
      product: "forward", "input_gradient" or "weight_gradient".
      x_shape: (B, H, W, C).
      w_shape: (kh, kw, C, K).
      y_shape: (B, H', W', K).
      strides: (vertical, horizontal).

    Returns:
      Tile sizes.
    """
    if product == "weight_gradient":
        return weight_heuristic(w_shape[2], w_shape[0] * w_shape[1])
    if product == "forward":
        return conv_heuristic(math.prod(y_shape[:3]), w_shape[3], multiprocessors())
    batch, height, width, _ = x_shape
    pixels_of_a_phase = batch * -(-height // strides[0]) * -(-width // strides[1])
    return conv_heuristic(pixels_of_a_phase, w_shape[2], multiprocessors())


def unsupported(
    x: Float[Array, "B H W C"], w: Float[Array, "kh kw C K"], visible: Visible, *, strides: Strides, padding: Padding
) -> str | None:
    """Returns why the kernels cannot run these arguments here, or None if they can.

    Args:
      x: [B, H, W, C] inputs.
      w: [kh, kw, C, K] weights.
      visible: the staircase.
      strides: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).

    Returns:
      A reason, or None.
    """
    if x.dtype not in DTYPES:
        return f"x must be bfloat16 or float16, got {x.dtype}"
    if 0 in x.shape:
        return f"x must have no empty dimension, got shape {x.shape}"
    if current_platform() != "gpu":
        return f"it needs a Hopper GPU, and the platform is {current_platform()}"
    if not interpreting() and jax.default_backend() == "gpu" and not is_hopper(jax.devices()[0]):
        return f"it needs a Hopper GPU (compute capability 9), got {jax.devices()[0].device_kind}"
    return None


def is_hopper(device: Any) -> bool:
    """Whether a GPU has the instructions that the kernels use; `wgmma` exists in compute capability 9 only."""
    return str(getattr(device, "compute_capability", "")).startswith("9.")


def _forward(
    x: Array,
    w: Array,
    visible: Visible,
    strides: Strides,
    padding: Padding,
    config: ConvTiling | None,
) -> Array:
    kh, kw, _, out_channels = w.shape
    height, width = out_size(x.shape[1:3], (kh, kw), strides, padding)
    config = config or cast(ConvTiling, default_config("forward", x.shape, w.shape, (len(x), height, width), strides))
    padded, padding = pad_low(pad_channels(x), padding, config.pad_in_memory)
    rows, taps = plan.forward_plan(visible, (kh, kw), config.columns, strides=strides, padding=padding)
    weights = block_weights(masked(w, visible), config)
    out = (len(x), height, 1, width, 1, round_up(out_channels, CHANNEL_MULTIPLE))
    y = block_row_product(split_phases(padded, strides), weights, rows, taps, out, config, upwards=True)
    return y[:, :, 0, :, 0, :out_channels]


def _input_gradient(
    dy: Array,
    w: Array,
    visible: Visible,
    x_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
    config: ConvTiling | None,
) -> Array:
    kh, kw, in_channels, _ = w.shape
    batch, height, width, _ = x_shape
    phase_height, phase_width = -(-height // strides[0]), -(-width // strides[1])
    config = config or cast(ConvTiling, default_config("input_gradient", x_shape, w.shape, dy.shape, strides))
    rows, taps = plan.input_gradient_plan(
        visible, in_channels, (kh, kw), config.columns, strides=strides, padding=padding
    )
    padded = pad_channels(dy)
    if config.pad_in_memory or interpreting():
        low_h, low_w = (max(0, -min(shifts)) for shifts in zip(*((t.shift_h, t.shift_w) for t in taps), strict=True))
        padded = jnp.pad(padded, ((0, 0), (low_h, 0), (low_w, 0), (0, 0)))
        taps = [t._replace(shift_h=t.shift_h + low_h, shift_w=t.shift_w + low_w) for t in taps]
    weights = block_weights(masked(w, visible).swapaxes(2, 3), config)
    channels = round_up(in_channels, CHANNEL_MULTIPLE)
    out = (batch, phase_height, strides[0], phase_width, strides[1], channels)
    dx = block_row_product(padded[:, :, None, :, None, :], weights, rows, taps, out, config, upwards=False)
    dx = dx.reshape(batch, phase_height * strides[0], phase_width * strides[1], channels)
    return dx[:, :height, :width, :in_channels]
