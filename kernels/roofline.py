"""Which limit each named layer meets first on a TPU, arithmetic or memory.

    python -m kernels.roofline

Prints, for the forward pass at full width in bfloat16: the multiply-accumulates that the staircase needs, what share
of the dense ones the 128 × 128 blocks of the TPU kernel spend, bytes that must move at least once, and the seconds that
either takes.
"""

from typing import NamedTuple

from . import pallas_tpu, staircase
from .config import TpuConfig
from .heuristics import staircase_config
from .shapes import SHAPES, Shape


class Chip(NamedTuple):
    """Published peaks of one chip: bfloat16 operations and bytes of HBM per second."""

    name: str
    flops: float
    bandwidth: float


CHIPS = (Chip("v5e", 197e12, 819e9), Chip("v6e", 918e12, 1640e9))


class Roofline(NamedTuple):
    """One layer's forward pass: multiply-accumulates, shares of the dense ones, and bytes."""

    useful_macs: int
    useful_share: float
    tpu_share: float
    cpu_share: float
    bytes: int

    def seconds(self, chip: Chip) -> tuple[float, float]:
        """Returns the least seconds that the arithmetic of the visited blocks takes, and the memory traffic."""
        visited = self.useful_macs / self.useful_share * self.tpu_share
        return 2 * visited / chip.flops, self.bytes / chip.bandwidth


def roofline(shape: Shape, itemsize: int = 2) -> Roofline:
    """Returns the counts of one layer.

    Args:
      shape: the layer.
      itemsize: bytes per element.
    """
    visible, (_, _, in_channels, out_channels) = shape.visible, shape.w_shape
    dense, config = in_channels * out_channels, TpuConfig(batch=16, rows=1)
    tile_in, tile_out = min(config.channels, in_channels), min(config.channels, out_channels)
    blocks = len(pallas_tpu.blocks(visible, in_channels, config).inputs)
    cpu = staircase_config("forward", shape.w_shape, visible, (shape.stride,) * 2)
    columns = staircase.block_columns(visible, in_channels, cpu.blocks, cpu.multiple)
    pixels = shape.batch * (shape.size**2 * in_channels + shape.out_size**2 * out_channels)
    return Roofline(
        useful_macs=shape.macs(shape.batch, staircase.useful_macs(visible)),
        useful_share=staircase.useful_macs(visible) / dense,
        # Ragged last tiles are computed whole.
        tpu_share=blocks * tile_in * tile_out / dense,
        cpu_share=staircase.visited_macs(columns, out_channels) / dense,
        bytes=itemsize * (pixels + shape.kernel**2 * dense),
    )


def main() -> None:
    """Prints the table."""
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
    main()
