"""Slices of TPU chips: what one chip does in a second, and how chips are wired.

Sources: Google Cloud's documentation, pages "TPU v5e" and "TPU v6e", for all figures of a chip; How to Scale Your Model (Austin
et al., 2025) for the links that close a ring and for the time of a hop.
"""

import argparse
import dataclasses
import math

import jax
from awn_kernels.pallas_tpu.compile import can_compile, offline_chips
from jax.sharding import Mesh

from awn_jax import data
from awn_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Chip:
    """Peaks of one chip.

    Attributes:
        flops: operations of bfloat16 a second; a multiply-accumulate is two.
        memory: bytes of HBM.
        bandwidth: bytes of it that can be read or written in a second.
        link: bytes a second that one of the chip's four links sends; it receives as many at the same time.
    """

    flops: float
    memory: float
    bandwidth: float
    link: float


CHIPS = {
    "v5e": Chip(flops=197e12, memory=16e9, bandwidth=819e9, link=50e9),
    "v6e": Chip(flops=918e12, memory=32e9, bandwidth=1638e9, link=100e9),
}
SIDES = ((2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))
# A row of so many chips is closed to a ring; shorter ones have two ends.
RING = 16
HOP_SECONDS = 1e-6


class SliceError(UserError):
    """A slice cannot be compiled for here; the message says why."""


@dataclasses.dataclass(frozen=True)
class Slice:
    """A rectangle of chips, each wired to its neighbours.

    Attributes:
        kind: of `CHIPS`.
        sides: how many chips it is high and wide.
    """

    kind: str
    sides: tuple[int, int]

    @property
    def name(self) -> str:
        """As libtpu calls it."""
        return f"{self.kind}:{self.sides[0]}x{self.sides[1]}"

    @property
    def chip(self) -> Chip:
        """What each of its chips does."""
        return CHIPS[self.kind]

    @property
    def chips(self) -> int:
        """How many it has."""
        return math.prod(self.sides)

    @property
    def bandwidth(self) -> float:
        """Bytes a second that the chip with the fewest links can send: one at a corner, unless rows are rings."""
        return self.chip.link * sum(2 if side == RING else 1 for side in self.sides)

    @property
    def hops(self) -> int:
        """Links between the two chips that are farthest apart."""
        return sum(side // 2 if side == RING else side - 1 for side in self.sides)

    def mesh(self) -> Mesh:
        """Its chips in a row, along the batch.

        Raises:
            SliceError: if libtpu, which holds the compiler, is not there or does not know the slice.
        """
        if not can_compile():
            raise SliceError(
                f"--topology={self.name} needs the TPU compiler, which is not installed: pip install libtpu"
            )
        try:
            chips = offline_chips(self.name)
        except jax.errors.JaxRuntimeError as error:
            raise SliceError(f"--topology={self.name} must be one that libtpu knows: {error}") from error
        return data.data_mesh(chips)


def parse(text: str) -> Slice:
    """A slice by its name, as v5e:4x4; for `argparse`."""
    kind, _, shape = text.partition(":")
    for sides in SIDES:
        if kind in CHIPS and shape == "{}x{}".format(*sides):
            return Slice(kind, sides)
    known = ", ".join("{}x{}".format(*sides) for sides in SIDES)
    raise argparse.ArgumentTypeError(f"must be {' or '.join(CHIPS)}, a colon and one of {known}, got {text}")
