"""Tile sizes of the Hopper kernels: what is legal, what to search, and what to take when nothing was measured."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

# Shared memory is swizzled in rows of 128 bytes: 64 channels of a 16-bit type, the unit of every copy.
LANE = 64
ITEM_BYTES = 2
# What one block may use on Hopper, less room for barriers and alignment.
SHARED_MEMORY_BYTES = 227 * 1024 - 2 * 1024
# Two consumer warpgroups share the rows of a tile; `wgmma` takes 64 rows at a time.
CONSUMERS = 2
# A box edge of the tensor memory accelerator, and the columns of one `wgmma`.
MAX_BOX = 256


@dataclass(frozen=True)
class ConvTiling:
    """Tile of the forward product and of the input gradient.

    Attributes:
      rows: output pixels of a tile, 128 or 256; half of them per consumer warpgroup.
      columns: output channels of a tile, a multiple of 64 up to 256. Also the granularity of the staircase.
      stages: depth of the ring of copies in flight.
      waves: tiles of pixels that each multiprocessor takes through all block rows before any moves on, so that the
        rows find their pixels in the cache; 0 for all, so that the shortest row of all comes last.
      pad_in_memory: whether to materialise the zeros left of and above the image. Otherwise the copy engine makes them
        from negative coordinates, which interpret mode cannot.

    Raises:
      ValueError: if the hardware cannot run it.
    """

    rows: int = 256
    columns: int = 128
    stages: int = 4
    waves: int = 1
    pad_in_memory: bool = False

    def __post_init__(self) -> None:
        """Checks the sizes against what `wgmma` and shared memory allow."""
        _require(self.rows in (128, 256), "rows", self.rows, "128 or 256")
        _require(0 < self.columns <= 256 and self.columns % LANE == 0, "columns", self.columns, "64, 128, 192 or 256")
        _require(self.stages >= 2, "stages", self.stages, "at least 2")
        _require(self.waves >= 0, "waves", self.waves, "0 or more")
        # An accumulator of 64 rows takes columns / 2 of the 232 registers that a consumer thread has.
        _require(
            self.rows * self.columns <= 256 * 128, "rows × columns", (self.rows, self.columns), "at most 256 × 128"
        )
        _check_bytes(self.shared_bytes)

    @property
    def shared_bytes(self) -> int:
        """Shared memory of the ring and of the staged output."""
        ring = self.stages * (self.rows + self.columns) * LANE
        return (ring + self.rows * LANE) * ITEM_BYTES


@dataclass(frozen=True)
class WeightTiling:
    """Tile of the weight gradient, whose sum runs over pixels.

    Attributes:
      rows: input channels of a tile, a multiple of 128; half of them per consumer warpgroup.
      columns: output channels of a tile, a multiple of 64.
      pixels: pixels of one step, 64 or 128.
      taps: taps of a tile, 1 to 3, which share the copies of dy.
      stages: depth of the ring of copies in flight.
      splits: into how many partial sums the pixels are cut, or 0 for as many as fill the multiprocessors.
      pad_in_memory: as in `ConvTiling`.

    Raises:
      ValueError: if the hardware cannot run it.
    """

    rows: int = 128
    columns: int = 128
    pixels: int = 64
    taps: int = 1
    stages: int = 5
    splits: int = 0
    pad_in_memory: bool = False

    def __post_init__(self) -> None:
        """Checks the sizes against what `wgmma` and shared memory allow."""
        _require(self.rows in (128, 256), "rows", self.rows, "128 or 256")
        _require(0 < self.columns <= 256 and self.columns % LANE == 0, "columns", self.columns, "64, 128, 192 or 256")
        _require(self.taps in (1, 2, 3), "taps", self.taps, "1, 2 or 3")
        tile = (self.taps, self.rows, self.columns)
        _require(math.prod(tile) <= 3 * 128 * 128, "taps × rows × columns", tile, "at most 3 × 128 × 128")
        _require(self.pixels in (64, 128), "pixels", self.pixels, "64 or 128")
        _require(self.stages >= 2, "stages", self.stages, "at least 2")
        _require(self.splits >= 0, "splits", self.splits, "0 or more")
        _check_bytes(self.shared_bytes)

    @property
    def shared_bytes(self) -> int:
        """Shared memory of the ring and of the staged float32 output."""
        ring = self.stages * (self.taps * self.rows + self.columns) * self.pixels * ITEM_BYTES
        return ring + CONSUMERS * LANE * LANE * 4


Tiling = ConvTiling | WeightTiling


def conv_heuristic(pixels: int, out_channels: int, multiprocessors: int) -> ConvTiling:
    """Returns the tile to take when none is named. Reasoned, not measured: no Hopper GPU has been at hand.

    Tiles of 128 columns, halved where only half of them read anything, skip what blocks of 64 can skip (at 512 channels
    9/16 of the dense work is left, at 1024 17/32), and feed `wgmma` at full rate. Smaller ones keep a small layer's tiles
    at least as many as the multiprocessors.

    Args:
      pixels: output pixels, over the batch.
      out_channels: output channels.
      multiprocessors: of the device.

    Returns:
      A legal tile.
    """
    columns = LANE if out_channels <= LANE else 128
    rows = 256 if -(-pixels // 256) * -(-out_channels // columns) >= multiprocessors else 128
    return ConvTiling(rows, columns, stages=4 if rows == 256 else 5)


def weight_heuristic(in_channels: int, taps: int) -> WeightTiling:
    """Returns the tile to take when none is named. Reasoned, not measured: no Hopper GPU has been at hand.

    What a tile reads per operation shrinks as it grows, and it grows best by taps, which leave the staircase as fine as
    it was: three of them read twice as much as one and do three times the work. A single tap must take more input
    channels instead, where a wide layer's staircase can bear the coarser blocks.

    Args:
      in_channels: input channels.
      taps: taps of the layer.

    Returns:
      A legal tile.
    """
    if taps >= 3:
        return WeightTiling(128, 128, taps=3, stages=3)
    return WeightTiling(256, 128, stages=4) if in_channels >= 768 else WeightTiling()


def conv_search_space() -> Iterator[ConvTiling]:
    """Yields every tile worth timing for the forward product and the input gradient."""
    for rows, columns, stages, waves in itertools.product((128, 256), (64, 128, 192, 256), (3, 4, 5), (0, 1, 2)):
        try:
            yield ConvTiling(rows, columns, stages, waves)
        except ValueError:
            continue


def weight_search_space() -> Iterator[WeightTiling]:
    """Yields every tile worth timing for the weight gradient."""
    sizes = (128, 256), (64, 128, 256), (64, 128), (1, 2, 3), (3, 4, 5)
    for rows, columns, pixels, taps, stages in itertools.product(*sizes):
        try:
            yield WeightTiling(rows, columns, pixels, taps, stages)
        except ValueError:
            continue


def _require(holds: bool, name: str, value: object, constraint: str) -> None:
    if not holds:
        raise ValueError(f"{name} must be {constraint}, got {value}")


def _check_bytes(used: int) -> None:
    if used > SHARED_MEMORY_BYTES:
        raise ValueError(f"tile needs {used} bytes of shared memory, must be at most {SHARED_MEMORY_BYTES}")
