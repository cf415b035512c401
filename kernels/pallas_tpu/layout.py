"""Between NHWC and the TPU kernels' [phase, row, column, image, channel]."""

import jax.numpy as jnp
from jax import Array, lax

from ..geometry import Padding, round_up
from .config import TpuConfig
from .tiles import Taps


def channel_tiles(channels: int, tile: int) -> int:
    """Returns the channels that an axis is padded to: none if one tile takes it whole."""
    return channels if channels <= tile else round_up(channels, tile)


def phases(x: Array, padding: Padding, out: tuple[int, int], taps: Taps, config: TpuConfig) -> Array:
    """Returns x, padded, as [sh·sw, rows + reach, columns + reach, B, C], with whole tiles of rows, B and C.

    Args:
      x: [B, H, W, C].
      padding: ((top, bottom), (left, right)); zeros past the bottom and the right are added or cropped as needed.
      out: rows and columns of the output.
      taps: the kernel's taps.
      config: tile sizes.
    """
    batch, height, width, channels = x.shape
    (sh, sw), (down, across) = taps.strides, taps.reach
    rows, columns = round_up(out[0], config.rows) + down, out[1] + across
    (top, _), (left, _) = padding
    x = lax.pad(
        x,
        jnp.zeros((), x.dtype),
        (
            (0, round_up(batch, config.batch) - batch, 0),
            (top, rows * sh - height - top, 0),
            (left, columns * sw - width - left, 0),
            (0, channel_tiles(channels, config.channels) - channels, 0),
        ),
    )
    x = x.reshape(x.shape[0], rows, sh, columns, sw, x.shape[3])
    return x.transpose(2, 4, 1, 3, 0, 5).reshape(sh * sw, rows, columns, x.shape[0], x.shape[5])


def rows_first(dy: Array, config: TpuConfig) -> Array:
    """Returns dy [B, H', W', K] as [rows, columns, B, K], with whole tiles of rows, B and K."""
    batch, rows, _, channels = dy.shape
    dy = jnp.pad(
        dy,
        (
            (0, round_up(batch, config.batch) - batch),
            (0, round_up(rows, config.rows) - rows),
            (0, 0),
            (0, channel_tiles(channels, config.channels) - channels),
        ),
    )
    return dy.transpose(1, 2, 0, 3)


def images_first(y: Array, shape: tuple[int, ...]) -> Array:
    """Returns y [rows, columns, B, K] as [B, H', W', K], cropped to `shape`."""
    return y.transpose(2, 0, 1, 3)[: shape[0], : shape[1], : shape[2], : shape[3]]


def pad_weights(w: Array, config: TpuConfig) -> Array:
    """Returns w [kh, kw, C, K] with whole tiles of channels."""
    pads = [(0, channel_tiles(channels, config.channels) - channels) for channels in w.shape[2:]]
    return jnp.pad(w, ((0, 0), (0, 0), *pads))
