"""Tile sizes of the TPU kernels: what there is to choose from, and the choice."""

import dataclasses

import jax.numpy as jnp
from jax.typing import DTypeLike

from ..geometry import Strides, round_up
from .tiles import LANES, Taps


@dataclasses.dataclass(frozen=True)
class TpuConfig:
    """Tile sizes of `pallas_tpu`.

    Attributes:
      batch: images per block; they fill the sublanes, so a multiple of 8 (float32) or 16 (bfloat16).
      rows: output rows per block.
      channels: input and output channels per block of weights, or all of them where there are fewer.
    """

    batch: int
    rows: int
    channels: int = 128

    def __post_init__(self) -> None:
        if self.batch < 1 or self.batch % 8:
            raise ValueError(f"batch must be a positive multiple of 8, got {self.batch}")
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}")
        if self.channels < 128 or self.channels % 128:
            raise ValueError(f"channels must be a positive multiple of 128, got {self.channels}")


def tpu_config(y_shape: tuple[int, ...], w_shape: tuple[int, ...], strides: Strides, dtype: DTypeLike) -> TpuConfig:
    """Returns tile sizes for `pallas_tpu`, chosen by arithmetic: no TPU has been measured.

    Args:
      y_shape: [B, H', W', K] of the product's output.
      w_shape: [kh, kw, C, K].
      strides: (vertical, horizontal).
      dtype: of x and w.

    Returns:
      Blocks of about 512 pixels a row, or of as many rows as fit into a quarter of VMEM.
    """
    itemsize = jnp.dtype(dtype).itemsize
    lanes = sublanes(itemsize)
    batch, rows, columns = y_shape[:3]
    images = min(round_up(batch, lanes), round_up(-(-512 // columns), lanes))
    while True:
        for blocks in range(1, rows + 1):
            config = TpuConfig(batch=images, rows=-(-rows // blocks))
            if block_bytes(columns, w_shape, strides, itemsize, config) <= 2**25:
                return config
        if images == lanes:
            return config
        images = max(lanes, round_up(images // 2, lanes))


def sublanes(itemsize: int) -> int:
    """Returns how many rows of a tile share a register: 8 of 4 bytes, 16 of 2."""
    return 32 // itemsize


def block_bytes(columns: int, w_shape: tuple[int, ...], strides: Strides, itemsize: int, config: TpuConfig) -> int:
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
