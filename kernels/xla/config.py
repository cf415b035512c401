"""How `xla_staircase` cuts a layer into blocks and computes them: what there is to choose from, and the choice."""

import dataclasses
from typing import Literal

from .. import staircase
from ..backend import Product
from ..geometry import Strides
from ..staircase import Visible
from .primitives import VECTOR

Method = Literal["convolution", "dilated", "taps", "rows", "patches"]


@dataclasses.dataclass(frozen=True)
class StaircaseConfig:
    """Tunables of one product of `xla_staircase`.

    Attributes:
      blocks: runs of input (for the input gradient, output) channels that are computed separately; 1 is masked dense.
      method: how a block's product is computed, a key of that product's table in `conv` or `weights`.
      multiple: of channels in every run but the last.
    """

    blocks: int = 1
    method: Method = "convolution"
    multiple: int = 1

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise ValueError(f"blocks must be at least 1, got {self.blocks}")
        if self.multiple < 1:
            raise ValueError(f"multiple must be at least 1, got {self.multiple}")


def staircase_config(product: Product, w_shape: tuple[int, ...], visible: Visible, strides: Strides) -> StaircaseConfig:
    """Returns the configuration of `xla_staircase` for one product.

    Args:
      product: which of the three.
      w_shape: [kh, kw, C, K].
      visible: the staircase.
      strides: (vertical, horizontal).

    Returns:
      The fastest configuration measured on a CPU for such shapes.
    """
    kh, kw, in_channels, out_channels = w_shape
    narrow = min(in_channels, out_channels)
    if product == "forward" and visible[-1] == in_channels == 1:
        return StaircaseConfig(method="taps")
    if product == "forward" and kh > 1 and strides[0] == 1 and out_channels < 24:
        return StaircaseConfig(method="rows")
    if product == "weight_gradient" and in_channels <= 4:
        return StaircaseConfig(method="patches")
    if product == "input_gradient" and kh > 1 and in_channels < 64:
        return StaircaseConfig(2 if narrow >= 40 else 1, method="rows")
    # More blocks skip more weights, but each reads the other operand again, and of a 1×1 kernel there is less to skip.
    blocks = narrow // (96 if (kh, kw) == (1, 1) else 32)
    too_narrow = narrow < (128 if product == "weight_gradient" else 64)
    strided = product == "input_gradient" and strides != (1, 1)
    if staircase.is_dense(visible, in_channels) or too_narrow or strided or blocks < 2:
        return StaircaseConfig()
    return StaircaseConfig(min(blocks, 8), "dilated", multiple=VECTOR)
