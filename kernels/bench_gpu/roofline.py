"""What a product must do, what the kernels do for it, and the time below which no kernel gets."""

import math
from typing import NamedTuple

from ..mosaic_gpu import plan
from ..mosaic_gpu.tiling import LANE, ConvTiling, WeightTiling
from .layers import Layer

BYTES = 2


class Ceilings(NamedTuple):
    """Measured operations and bytes per second."""

    flops: float
    bandwidth: float


def floor_seconds(layer: Layer, ceilings: Ceilings) -> tuple[float, str]:
    """Returns the least time of one product and what sets it: the arithmetic, or moving each tensor once."""
    arithmetic = layer.useful_flops / ceilings.flops
    memory = BYTES * sum(math.prod(s) for s in (layer.x_shape, layer.w_shape, layer.y_shape)) / ceilings.bandwidth
    return max((arithmetic, "arithmetic"), (memory, "memory"))


def visited_flops(product: str, layer: Layer, tile: ConvTiling | WeightTiling) -> int:
    """Returns the operations that the tiles of a product do, whole blocks and whole boxes of pixels.

    Args:
      product: "forward", "input_gradient" or "weight_gradient".
      layer: where.
      tile: tile sizes.

    Returns:
      Operations; `layer.useful_flops` of them are needed.
    """
    strides, padding = layer.strides, layer.pads
    kernel = layer.w_shape[:2]
    batch, *size, _ = layer.x_shape if product == "input_gradient" else layer.y_shape
    if product == "input_gradient":
        size = [-(-n // s) for n, s in zip(size, layer.strides, strict=True)]
    image = (batch, size[0], size[1])
    if (layer.kernel, layer.stride, layer.padding) == (1, 1, 0):
        image = (1, 1, math.prod(image))
    if isinstance(tile, WeightTiling):
        block = (tile.rows, tile.columns, tile.taps)
        blocks, _ = plan.weight_gradient_plan(layer.visible, kernel, block, strides=strides, padding=padding)
        return 2 * len(blocks) * math.prod(block) * _boxed(image, tile.pixels)
    if product == "forward":
        rows, _ = plan.forward_plan(layer.visible, kernel, tile.columns, strides=strides, padding=padding)
    else:
        rows, _ = plan.input_gradient_plan(
            layer.visible, layer.in_channels, kernel, tile.columns, strides=strides, padding=padding
        )
    return sum(row.half_columns for row in rows) * LANE * tile.columns * _boxed(image, tile.rows)


def _boxed(image: tuple[int, int, int], pixels: int) -> int:
    return pixels * math.prod(plan.box_grid(image, plan.choose_box(*image, pixels)))
