"""What each Hopper kernel visits, as small integer tables made at trace time.

A convolution is a matrix product whose reduction runs over taps and input channels. A tile of output pixels is a box of
the image, and what one tap adds to it comes from the same box moved by the tap. With strides the image is seen as
[B, H / s, s, W / s, s, C], so that every tap reads a plain box of one phase; the input gradient writes phase by phase
instead, each phase a dense convolution of dy by the taps that reach it.
"""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from .. import staircase
from ..geometry import Padding, Strides
from ..staircase import Visible
from .config import LANE, MAX_BOX

Table = np.ndarray[Any, np.dtype[np.int32]]
Box = tuple[int, int, int]


class Tap(NamedTuple):
    """One tap: its weights, and the box it reads as (phase, shift) in both directions."""

    weights: int
    phase_h: int
    phase_w: int
    shift_h: int
    shift_w: int


class Row(NamedTuple):
    """One block of output channels in one phase, and what it reads.

    Its reduction starts at input block `first` and walks up the channels in the forward product, down them in the input
    gradient, so that what only one half of its columns reads comes last.

    Attributes:
      column: its first output channel.
      first: input block to start at.
      wide: input blocks that all columns read.
      narrow: further ones that only half of the columns read: the upper half going up, the lower half going down.
      tap_start: its first tap in the table.
      taps: how many taps it has.
      phase_h: phase of the output, vertical.
      phase_w: phase of the output, horizontal.
    """

    column: int
    first: int
    wide: int
    narrow: int
    tap_start: int
    taps: int
    phase_h: int
    phase_w: int

    @property
    def steps(self) -> Any:
        """Steps of its reduction; inside a kernel, where the fields are traced, so is this."""
        return self.taps * (self.wide + self.narrow)

    @property
    def half_columns(self) -> int:
        """Its arithmetic, counted in half blocks of columns."""
        return self.taps * (2 * self.wide + self.narrow)


class WeightBlock(NamedTuple):
    """One block of weights that exists: input channels from `row`, output channels from `column`, taps from `tap`."""

    row: int
    column: int
    tap: int


def forward_plan(
    visible: Visible, kernel: tuple[int, int], columns: int, *, strides: Strides, padding: Padding
) -> tuple[list[Row], list[Tap]]:
    """Returns the block rows of the forward product, longest first, and its taps.

    Args:
      visible: the staircase.
      kernel: (kh, kw).
      columns: output channels of a block.
      strides: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).

    Returns:
      Rows and taps.
    """
    taps = _taps(kernel, strides, padding)
    depths = staircase.tile_depths(visible, LANE, columns)
    # How far the lower half reads; without halves, as far as the whole.
    lower = staircase.tile_depths(visible, LANE, columns // 2)[::2] if splits_in_halves(columns) else depths
    rows = [
        Row(i * columns, 0, wide, depth - wide, 0, len(taps), 0, 0)
        for i, (wide, depth) in enumerate(zip(lower, depths, strict=True))
    ]
    return longest_first(rows), taps


def input_gradient_plan(
    visible: Visible, in_channels: int, kernel: tuple[int, int], columns: int, *, strides: Strides, padding: Padding
) -> tuple[list[Row], list[Tap]]:
    """Returns the block rows of the input gradient: the mirrored staircase, once per phase of dx; longest first.

    Args:
      visible: the staircase.
      in_channels: C.
      kernel: (kh, kw).
      columns: input channels of a block.
      strides: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).

    Returns:
      Rows and taps. A phase that no tap reaches has rows without steps, which write zeros.
    """
    (top, _), (left, _) = padding
    stop = -(-len(visible) // LANE)
    rows: list[Row] = []
    taps: list[Tap] = []
    for phase_h, phase_w in itertools.product(range(strides[0]), range(strides[1])):
        tap_start = len(taps)
        for i, j in np.ndindex(kernel):
            reach_h, reach_w = phase_h + top - i, phase_w + left - j
            if reach_h % strides[0] == 0 and reach_w % strides[1] == 0:
                taps.append(Tap(i * kernel[1] + j, 0, 0, reach_h // strides[0], reach_w // strides[1]))
        for column in range(0, in_channels, columns):
            read = stop - _first_block(visible, column)
            wide = read
            if splits_in_halves(columns):
                # What the upper half reads: nothing where it has no channel.
                middle = column + columns // 2
                wide = stop - _first_block(visible, middle) if middle < in_channels else 0
            rows.append(Row(column, stop - 1, wide, read - wide, tap_start, len(taps) - tap_start, phase_h, phase_w))
    return longest_first(rows), taps


def weight_gradient_plan(
    visible: Visible,
    kernel: tuple[int, int],
    block: tuple[int, int, int],
    *,
    strides: Strides,
    padding: Padding,
) -> tuple[list[WeightBlock], list[Tap]]:
    """Returns the blocks of weights that exist, and the taps.

    Args:
      visible: the staircase.
      kernel: (kh, kw).
      block: input channels, output channels and taps of a block.
      strides: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).

    Returns:
      Blocks, all of which take equally long, and whole blocks of taps: the last tap is repeated as needed.
    """
    rows, columns, together = block
    taps = _taps(kernel, strides, padding)
    taps += [taps[-1]] * (-len(taps) % together)
    depths = staircase.tile_depths(visible, rows, columns)
    blocks = [
        WeightBlock(i * rows, j * columns, tap)
        for tap in range(0, len(taps), together)
        for j, depth in enumerate(depths)
        for i in range(depth)
    ]
    return blocks, taps


def choose_box(batch: int, height: int, width: int, pixels: int) -> Box:
    """Returns the (images, rows, columns) box of `pixels` pixels that covers an image with the fewest boxes.

    Among equals, the widest, then the tallest: its taps share the most cache lines.

    Args:
      batch: B.
      height: H.
      width: W.
      pixels: pixels of a box, a power of two.

    Returns:
      Three powers of two, whose product is `pixels`.
    """
    powers = [1 << i for i in range(pixels.bit_length()) if 1 << i <= MAX_BOX]
    boxes = [(pixels // (h * w), h, w) for h in powers for w in powers if h * w <= pixels]
    legal = [box for box in boxes if box[0] <= MAX_BOX]
    return min(legal, key=lambda box: (math.prod(box_grid((batch, height, width), box)), -box[2], -box[1]))


def box_grid(image: tuple[int, int, int], box: Box) -> tuple[int, int, int]:
    """Returns how many boxes cover the image in each direction."""
    b, h, w = (-(-size // edge) for size, edge in zip(image, box, strict=True))
    return b, h, w


def dealt(turn: Any, block: Any, blocks: int) -> Any:
    """Returns which item a block takes on a turn: items are dealt out to and fro, so that lengths even out.

    Args:
      turn: how many items the block had before.
      block: 0 to `blocks` - 1.
      blocks: how many there are.

    Returns:
      An item; the last turn's may lie past the end.
    """
    return turn * blocks + block + (turn & 1) * (blocks - 1 - 2 * block)


def table(entries: list[Any]) -> Table:
    """Returns named tuples of integers as one int32 array."""
    return np.asarray(entries, np.int32)


def longest_first(rows: list[Row]) -> list[Row]:
    """Sorts rows so that whatever is dealt out last is short: no multiprocessor ends long after the others."""
    return sorted(rows, key=lambda row: -row.half_columns)


def splits_in_halves(columns: int) -> bool:
    """Whether half of a block's columns is whole lanes again, which `wgmma` can be given alone."""
    return columns % (2 * LANE) == 0


def _first_block(visible: Visible, channel: int) -> int:
    """Returns the first block of outputs that reads input `channel`; one past the last if none does."""
    first = staircase.first_reader(visible, channel)
    return first // LANE if first < len(visible) else -(-len(visible) // LANE)


def _taps(kernel: tuple[int, int], strides: Strides, padding: Padding) -> list[Tap]:
    taps = []
    for i, j in np.ndindex(kernel):
        shift_h, phase_h = divmod(i - padding[0][0], strides[0])
        shift_w, phase_w = divmod(j - padding[1][0], strides[1])
        taps.append(Tap(i * kernel[1] + j, phase_h, phase_w, shift_h, shift_w))
    return taps
