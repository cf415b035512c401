"""Which limit each named layer meets first on a TPU, arithmetic or memory.

    python -m kernels.bench.roofline

Prints, for the forward pass at full width in bfloat16: the multiply-accumulates that the staircase needs, what share
of the dense ones the 128 × 128 blocks of the TPU kernel spend, bytes that must move at least once, and the seconds that
either takes.
"""

import math
from typing import NamedTuple

from .. import staircase
from ..pallas_tpu.config import TpuConfig
from ..pallas_tpu.ops import blocks
from ..shapes import SHAPES, Shape
from ..xla.config import staircase_config
from . import options
from .ending import one_line_errors


class Chip(NamedTuple):
    """Peaks of one chip: operations (of bfloat16) and bytes of memory per second."""

    name: str
    flops: float
    bandwidth: float

    def seconds(self, flops: float | int, moved: int) -> tuple[float, float]:
        """Returns the least seconds that so many operations take, and so many bytes."""
        return flops / self.flops, moved / self.bandwidth


# As published.
CHIPS = (Chip("v5e", 197e12, 819e9), Chip("v6e", 918e12, 1640e9))


class Roofline(NamedTuple):
    """One layer's forward pass: multiply-accumulates, shares of the dense ones, and bytes."""

    useful_macs: int
    useful_share: float
    tpu_share: float
    cpu_share: float
    bytes: int

    def seconds(self, chip: Chip) -> tuple[float, float]:
        """Returns the least seconds that the arithmetic of the visited blocks takes on a TPU, and the memory traffic."""
        return chip.seconds(2 * self.useful_macs / self.useful_share * self.tpu_share, self.bytes)


def moved_bytes(shape: Shape, itemsize: int = 2) -> int:
    """Returns the bytes that a product moves at least: x, w and y, once each."""
    return itemsize * sum(math.prod(each) for each in (shape.x_shape, shape.w_shape, shape.y_shape))


def roofline(shape: Shape) -> Roofline:
    """Returns the counts of one layer in bfloat16."""
    visible, (_, _, in_channels, out_channels) = shape.visible, shape.w_shape
    dense, config = in_channels * out_channels, TpuConfig(batch=16, rows=1)
    tile_in, tile_out = min(config.channels, in_channels), min(config.channels, out_channels)
    visited = len(blocks(visible, in_channels, config).inputs)
    cpu = staircase_config("forward", shape.w_shape, visible, shape.strides)
    columns = staircase.block_columns(visible, in_channels, cpu.blocks, cpu.multiple)
    return Roofline(
        useful_macs=shape.useful_macs,
        useful_share=staircase.useful_macs(visible) / dense,
        # Ragged last tiles are computed whole.
        tpu_share=visited * tile_in * tile_out / dense,
        cpu_share=staircase.visited_macs(columns, out_channels) / dense,
        bytes=moved_bytes(shape),
    )


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    options.make_parser(f"{__package__}.roofline", __doc__).parse_args(arguments)
    print(f"{'shape':24} {'GMAC':>6} {'useful':>6} {'TPU':>5} {'CPU':>5} {'MB':>6} {'FLOP/B':>6}", end="")
    print("".join(f" {chip.name + ' µs: arithmetic, memory':>28}" for chip in CHIPS))
    for shape in SHAPES:
        r = roofline(shape)
        print(
            f"{shape.name:24} {r.useful_macs / 1e9:6.3f} {r.useful_share:6.0%} {r.tpu_share:5.0%} {r.cpu_share:5.0%} "
            f"{r.bytes / 1e6:6.1f} {2 * r.useful_macs / r.bytes:6.0f}",
            end="",
        )
        for chip in CHIPS:
            arithmetic, memory = (1e6 * s for s in r.seconds(chip))
            print(f" {arithmetic:12.1f} {memory:8.1f} {'memory' if memory > arithmetic else 'MXU':>6}", end="")
        print()


if __name__ == "__main__":
    with one_line_errors():
        main()
