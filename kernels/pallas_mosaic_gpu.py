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

from . import reference
from .backend import Padding, Strides
from .mosaic_gpu import plan
from .mosaic_gpu.gemm import block_row_product
from .mosaic_gpu.launch import multiprocessors
from .mosaic_gpu.shared import interpreting
from .mosaic_gpu.tiling import LANE, ConvTiling, WeightTiling, conv_heuristic, weight_heuristic
from .mosaic_gpu.weights import block_weight_product
from .staircase import Visible
from .target import current_platform

DTYPES = (jnp.bfloat16, jnp.float16)
# The copy engine wants strides of whole 16 bytes.
CHANNEL_MULTIPLE = 8


def forward(
    x: Float[Array, "B H W C"],
    w: Float[Array, "kh kw C K"],
    visible: Visible,
    *,
    strides: Strides,
    padding: Padding,
    tiling: ConvTiling | None = None,
) -> Float[Array, "B H2 W2 K"]:
    """Returns y = conv(x, w · mask), visiting only the blocks of weights that exist.

    Args:
      x: [B, H, W, C] inputs.
      w: [kh, kw, C, K] weights; those past the staircase are ignored.
      visible: the staircase.
      strides: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).
      tiling: tile sizes, or None for the heuristic's.

    Returns:
      [B, H', W', K] outputs.
    """
    kernel, out_channels = w.shape[:2], w.shape[-1]
    out_size = _out_size(x.shape[1:3], kernel, strides, padding)
    if _is_matmul(kernel, strides, padding):
        out_size = (1, math.prod(x.shape[:3]))
        y = _forward(x.reshape(1, *out_size, -1), w, visible, out_size, strides, padding, tiling)
        return y.reshape(*x.shape[:3], out_channels)
    return _forward(x, w, visible, out_size, strides, padding, tiling)


def input_gradient(
    dy: Float[Array, "B H2 W2 K"],
    w: Float[Array, "kh kw C K"],
    visible: Visible,
    *,
    x_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
    tiling: ConvTiling | None = None,
) -> Float[Array, "B H W C"]:
    """Returns dx, by the kernel of `forward` on the mirrored staircase.

    Args:
      dy: [B, H', W', K] gradient of the outputs.
      w: [kh, kw, C, K] weights; those past the staircase are ignored.
      visible: the staircase.
      x_shape: (B, H, W, C).
      strides: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).
      tiling: tile sizes, or None for the heuristic's.

    Returns:
      [B, H, W, C] gradient of the inputs.
    """
    if _is_matmul(w.shape[:2], strides, padding):
        flat = (1, 1, math.prod(x_shape[:3]))
        dx = _input_gradient(dy.reshape(*flat, -1), w, visible, (*flat, x_shape[3]), strides, padding, tiling)
        return dx.reshape(x_shape)
    return _input_gradient(dy, w, visible, x_shape, strides, padding, tiling)


def weight_gradient(
    x: Float[Array, "B H W C"],
    dy: Float[Array, "B H2 W2 K"],
    visible: Visible,
    *,
    w_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
    tiling: WeightTiling | None = None,
) -> Float[Array, "kh kw C K"]:
    """Returns dw; exactly zero past the staircase, where whole blocks are never computed.

    Args:
      x: [B, H, W, C] inputs.
      dy: [B, H', W', K] gradient of the outputs.
      visible: the staircase.
      w_shape: (kh, kw, C, K).
      strides: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).
      tiling: tile sizes, or None for the heuristic's.

    Returns:
      [kh, kw, C, K] gradient of the weights.
    """
    if _is_matmul(w_shape[:2], strides, padding):
        flat = (1, 1, math.prod(x.shape[:3]), -1)
        x, dy = x.reshape(flat), dy.reshape(flat)
    tiling = tiling or weight_heuristic(w_shape[2], w_shape[0] * w_shape[1])
    kernel = (w_shape[0], w_shape[1])
    padded, padding = _pad_low(_pad_channels(x), padding, tiling.pad_in_memory)
    block = (tiling.rows, tiling.columns, tiling.taps)
    blocks, taps = plan.weight_gradient_plan(visible, kernel, block, strides=strides, padding=padding)
    if not blocks:
        return jnp.zeros(w_shape, x.dtype)
    partial = block_weight_product(_split_phases(padded, strides), _pad_channels(dy), blocks, taps, tiling)
    dw = partial[:, :, : w_shape[2], : w_shape[3]].sum(0).reshape(w_shape)
    return reference.masked(dw, visible).astype(x.dtype)


def default_tiling(
    product: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...], y_shape: tuple[int, ...], strides: Strides
) -> ConvTiling | WeightTiling:
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
    out_size: tuple[int, int],
    strides: Strides,
    padding: Padding,
    tiling: ConvTiling | None,
) -> Array:
    kh, kw, _, out_channels = w.shape
    tiling = tiling or cast(ConvTiling, default_tiling("forward", x.shape, w.shape, (len(x), *out_size), strides))
    padded, padding = _pad_low(_pad_channels(x), padding, tiling.pad_in_memory)
    rows, taps = plan.forward_plan(visible, (kh, kw), tiling.columns, strides=strides, padding=padding)
    weights = _block_weights(reference.masked(w, visible), tiling)
    out = (x.shape[0], out_size[0], 1, out_size[1], 1, _round_up(out_channels, CHANNEL_MULTIPLE))
    y = block_row_product(_split_phases(padded, strides), weights, rows, taps, out, tiling, upwards=True)
    return y[:, :, 0, :, 0, :out_channels]


def _input_gradient(
    dy: Array,
    w: Array,
    visible: Visible,
    x_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
    tiling: ConvTiling | None,
) -> Array:
    kh, kw, in_channels, _ = w.shape
    batch, height, width, _ = x_shape
    phase_height, phase_width = -(-height // strides[0]), -(-width // strides[1])
    tiling = tiling or cast(ConvTiling, default_tiling("input_gradient", x_shape, w.shape, dy.shape, strides))
    rows, taps = plan.input_gradient_plan(
        visible, in_channels, (kh, kw), tiling.columns, strides=strides, padding=padding
    )
    padded = _pad_channels(dy)
    if tiling.pad_in_memory or interpreting():
        low_h, low_w = (max(0, -min(shifts)) for shifts in zip(*((t.shift_h, t.shift_w) for t in taps), strict=True))
        padded = jnp.pad(padded, ((0, 0), (low_h, 0), (low_w, 0), (0, 0)))
        taps = [t._replace(shift_h=t.shift_h + low_h, shift_w=t.shift_w + low_w) for t in taps]
    weights = _block_weights(reference.masked(w, visible).swapaxes(2, 3), tiling)
    channels = _round_up(in_channels, CHANNEL_MULTIPLE)
    out = (batch, phase_height, strides[0], phase_width, strides[1], channels)
    dx = block_row_product(padded[:, :, None, :, None, :], weights, rows, taps, out, tiling, upwards=False)
    dx = dx.reshape(batch, phase_height * strides[0], phase_width * strides[1], channels)
    return dx[:, :height, :width, :in_channels]


def _is_matmul(kernel: tuple[int, ...], strides: Strides, padding: Padding) -> bool:
    """Whether the image is only a list of pixels, which boxes of one row cover without waste."""
    return kernel == (1, 1) and strides == (1, 1) and padding == ((0, 0), (0, 0))


def _out_size(size: tuple[int, ...], kernel: tuple[int, ...], strides: Strides, padding: Padding) -> tuple[int, int]:
    h, w = ((n + sum(pad) - k) // s + 1 for n, k, s, pad in zip(size, kernel, strides, padding, strict=True))
    return h, w


def _block_weights(w: Array, tiling: ConvTiling) -> Array:
    """Returns [taps, C, K], zero-padded to whole blocks; one pass over the weights, together with the mask."""
    kh, kw, c, k = w.shape
    pads = ((0, 0), (0, _round_up(c, LANE) - c), (0, _round_up(k, tiling.columns) - k))
    return jnp.pad(w.reshape(kh * kw, c, k), pads)


def _pad_channels(x: Array) -> Array:
    missing = -x.shape[-1] % CHANNEL_MULTIPLE
    return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, missing),)) if missing else x


def _pad_low(x: Array, padding: Padding, asked: bool) -> tuple[Array, Padding]:
    """Returns the image and the padding left to the copy engine; interpret mode knows no negative coordinates."""
    (top, bottom), (left, right) = padding
    if not (asked or interpreting()):
        return x, padding
    return jnp.pad(x, ((0, 0), (top, 0), (left, 0), (0, 0))), ((0, bottom), (0, right))


def _split_phases(x: Array, strides: Strides) -> Array:
    """Returns [B, H / s, s, W / s, s, C], padded to whole strides."""
    batch, height, width, channels = x.shape
    more = (-height % strides[0], -width % strides[1])
    if any(more):
        x = jnp.pad(x, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)))
    return x.reshape(batch, x.shape[1] // strides[0], strides[0], x.shape[2] // strides[1], strides[1], channels)


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
