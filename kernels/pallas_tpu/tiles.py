"""What both TPU kernels walk: blocks of weights, taps, windows of pixels.

Arrays are laid out [phase, row, column, image, channel]. Channels fill the 128 lanes and images the sublanes, so that
a kernel tap, which moves a window by whole rows and columns, is an offset into untiled dimensions: it costs nothing,
at any offset. A phase holds the pixels of one residue of the strides, so every tap reads consecutive pixels of one
phase.

Which blocks of weights to visit is a list that the scalar core prefetches: the grid has one step per entry, and a
block that is not in the list costs no time and no copy.
"""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from ..geometry import Strides

LANES = 128
VMEM_LIMIT = 64 * 2**20  # of 128 MiB on v5e and v6e; XLA keeps the rest


class Blocks(NamedTuple):
    """The blocks of weights to visit, in order.

    Attributes:
      inputs: index of each one's tile of input channels.
      outputs: index of each one's tile of output channels.
    """

    inputs: np.ndarray
    outputs: np.ndarray


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


def windows(x_ref, taps: Taps, row: Array, columns: int):  # type: ignore[no-untyped-def]
    """Yields, for each tap, the [columns · images, channels] pixels that it reads for one row of outputs."""
    batch, channels = x_ref.shape[3:]
    for p in range(taps.size[0]):
        for q in range(taps.size[1]):
            phase, down, across = taps(p, q)
            pixels = x_ref[phase, row + down, across : across + columns]
            yield p, q, pixels.reshape(columns * batch, channels)


def dot(a: Array, b: Array, a_axis: int, b_axis: int) -> Array:
    """Returns the product of two matrices, summed in float32 over one axis of each."""
    return lax.dot_general(a, b, (((a_axis,), (b_axis,)), ((), ())), preferred_element_type=jnp.float32)


def elements(*sizes: int) -> tuple[pl.Element, ...]:
    """Returns a block that starts at any element: neighbours overlap by the rows that a window reaches beyond its own."""
    return tuple(pl.Element(size) for size in sizes)


def first(index: Array, tile: int, channels: int) -> Array | int:
    """Returns the first channel of a tile; Mosaic must see that it is a multiple of 128, and narrower axes are whole."""
    return 0 if tile == channels else index * tile


def params(*semantics: Literal["parallel", "arbitrary"]) -> pltpu.CompilerParams:
    """Returns what to tell the compiler of the grid's dimensions, and how much VMEM it may use."""
    return pltpu.CompilerParams(dimension_semantics=semantics, vmem_limit_bytes=VMEM_LIMIT)
