"""Arithmetic of `visible`: which inputs an output channel reads, as blocks, masks and operation counts.

`visible[k]` is the number of leading input channels that output channel `k` may read. It never decreases, so the
weights that exist form a staircase: a triangle for square layers, coarser steps for rectangular or grouped ones.
Everything here is plain Python on static integers and runs at trace time.

              inputs 0 .. C-1 →
    output 0  █ · · · · ·      visible = (1, 2, 3, 4, 5, 6)
           1  █ █ · · · ·
           2  █ █ █ · · ·      block_rows(visible, 3):    outputs 0-1 read 2 inputs, 2-3 read 4, 4-5 read 6
           3  █ █ █ █ · ·      block_columns(visible, 3): inputs 0-1 feed outputs 0.., 2-3 outputs 2.., 4-5 outputs 4..
           4  █ █ █ █ █ ·
           5  █ █ █ █ █ █
"""

import bisect
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Visible = tuple[int, ...]


class BlockRow(NamedTuple):
    """Outputs `start <= k < stop`, which read no input channel from `depth` on."""

    start: int
    stop: int
    depth: int


class BlockColumn(NamedTuple):
    """Inputs `start <= c < stop`, which no output channel before `first` reads."""

    start: int
    stop: int
    first: int


def check_visible(visible: Sequence[int], in_channels: int, out_channels: int) -> Visible:
    """Validates a staircase and returns it as a tuple of Python integers.

    Args:
      visible: number of leading input channels that each output channel may read.
      in_channels: C, the number of input channels.
      out_channels: K, the number of output channels.

    Returns:
      `visible` as a hashable tuple.

    Raises:
      ValueError: if there is not one entry per output channel, or an entry decreases or lies outside 0..C.
      TypeError: if an entry is no integer.

    Example:
      >>> check_visible([1, 2, 2], in_channels=2, out_channels=3)
      (1, 2, 2)
    """
    checked = tuple(operator.index(v) for v in visible)
    if len(checked) != out_channels:
        raise ValueError(f"visible has {len(checked)} entries, expected one per output channel: {out_channels}")
    for k, v in enumerate(checked):
        if not 0 <= v <= in_channels:
            raise ValueError(f"visible[{k}] = {v} must lie between 0 and the number of input channels, {in_channels}")
        if k and v < checked[k - 1]:
            raise ValueError(f"visible must not decrease, got visible[{k - 1}] = {checked[k - 1]}, visible[{k}] = {v}")
    return checked


def is_dense(visible: Visible, in_channels: int) -> bool:
    """Whether every output reads every input, so that nothing is masked."""
    return all(v == in_channels for v in visible)


def mask(visible: Visible, in_channels: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns the [C, K] boolean mask of the weights that exist."""
    return np.arange(in_channels)[:, None] < np.asarray(visible, dtype=np.int64)[None, :]


def first_reader(visible: Visible, channel: int) -> int:
    """Returns the first output that reads input `channel`, or K if none does."""
    return bisect.bisect_right(visible, channel)


def block_rows(visible: Visible, blocks: int, multiple: int = 1) -> list[BlockRow]:
    """Cuts the outputs into at most `blocks` runs of about equal length.

    Neighbours that read equally many inputs are merged: cutting them apart would skip nothing.

    Args:
      visible: the staircase.
      blocks: number of runs to aim for.
      multiple: run lengths are rounded up to a multiple of this.

    Returns:
      Block rows in order, covering every output once.
    """
    rows: list[BlockRow] = []
    for start, stop in _cuts(len(visible), blocks, multiple):
        depth = visible[stop - 1]
        if rows and rows[-1].depth == depth:
            start = rows.pop().start
        rows.append(BlockRow(start, stop, depth))
    return rows


def block_columns(visible: Visible, in_channels: int, blocks: int, multiple: int = 1) -> list[BlockColumn]:
    """Cuts the inputs into at most `blocks` runs of about equal length; the transpose of `block_rows`."""
    columns: list[BlockColumn] = []
    for start, stop in _cuts(in_channels, blocks, multiple):
        first = first_reader(visible, start)
        if columns and columns[-1].first == first:
            start = columns.pop().start
        columns.append(BlockColumn(start, stop, first))
    return columns


def tile_depths(visible: Visible, tile_in: int, tile_out: int) -> list[int]:
    """Returns, for each tile of `tile_out` outputs, how many tiles of `tile_in` inputs hold any weight."""
    return [
        -(-visible[min(start + tile_out, len(visible)) - 1] // tile_in) for start in range(0, len(visible), tile_out)
    ]


def useful_macs(visible: Visible) -> int:
    """Returns the weights that exist per tap: the multiply-accumulates that a layer needs per tap and output pixel."""
    return sum(visible)


def visited_macs(columns: list[BlockColumn], out_channels: int) -> int:
    """Returns the multiply-accumulates that block columns spend per tap and output pixel."""
    return sum((column.stop - column.start) * (out_channels - column.first) for column in columns)


def _cuts(length: int, blocks: int, multiple: int) -> list[tuple[int, int]]:
    step = max(1, -(-length // max(1, blocks)))
    step = -(-step // multiple) * multiple
    return [(start, min(start + step, length)) for start in range(0, length, step)]
