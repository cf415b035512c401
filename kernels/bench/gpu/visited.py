"""What the tiles of the Hopper kernels do for a product, whole blocks and whole boxes of pixels."""

import math

from ...backend import Product
from ...geometry import is_pointwise
from ...mosaic_gpu import plan
from ...mosaic_gpu.config import LANE, Tiling, WeightTiling
from ...shapes import Shape


def visited_flops(product: Product, layer: Shape, tile: Tiling) -> int:
    """Returns the operations that the tiles of a product do.

    Args:
      product: "forward", "input_gradient" or "weight_gradient".
      layer: where.
      tile: tile sizes.

    Returns:
      Operations; two for each of `layer.useful_macs` are needed.
    """
    strides, padding = layer.strides, layer.pads
    kernel = layer.w_shape[:2]
    batch, *size, _ = layer.x_shape if product == "input_gradient" else layer.y_shape
    if product == "input_gradient":
        size = [-(-n // s) for n, s in zip(size, layer.strides, strict=True)]
    image = (batch, size[0], size[1])
    if is_pointwise(kernel, strides, padding):
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
