"""Between NHWC and the TPU kernels' [phase, row, column, image, channel], and what a block takes of VMEM."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from .backend import Padding, Strides
from .config import TpuConfig

LANES = 128


class Taps(NamedTuple):
    """Where each kernel tap finds its pixels: a phase, and an offset in rows and columns within it."""

    size: tuple[int, int]
    strides: Strides

    def __call__(self, p: int, q: int) -> tuple[int, int, int]:
        """Returns (phase, row offset, column offset) of tap (p, q)."""
        (sh, sw) = self.strides
        return (p % sh) * sw + q % sw, p // sh, q // sw

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns of a phase that a window spans beyond its first pixel."""
        return (self.size[0] - 1) // self.strides[0], (self.size[1] - 1) // self.strides[1]


def sublanes(itemsize: int) -> int:
    """Returns how many rows of a tile share a register: 8 of 4 bytes, 16 of 2."""
    return 32 // itemsize


def round_up(size: int, multiple: int) -> int:
    """Returns the smallest multiple that holds `size`."""
    return -(-size // multiple) * multiple


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


def vmem_bytes(columns: int, w_shape: tuple[int, ...], strides: Strides, itemsize: int, config: TpuConfig) -> int:
    """Returns an upper bound of the VMEM that a kernel's blocks take, twice each for double buffering.

    Args:
      columns: output columns.
      w_shape: [kh, kw, C, K].
      strides: (vertical, horizontal).
      itemsize: bytes per element.
      config: tile sizes.
    """
    kh, kw, in_channels, out_channels = w_shape
    tile_in, tile_out = (round_up(min(c, config.channels), LANES) for c in (in_channels, out_channels))
    down, across = Taps((kh, kw), strides).reach
    x = strides[0] * strides[1] * (config.rows + down) * (columns + across) * config.batch * tile_in
    y = config.rows * columns * config.batch * tile_out
    w = kh * kw * tile_in * tile_out
    # Either product's float32 block is bounded by having both: y's accumulator, and w's gradient twice.
    return 2 * itemsize * (x + y + w) + 4 * y + 2 * 4 * w
