"""What to run when nothing is named: an implementation per platform, a configuration per shape."""

from typing import Literal

from jax.typing import DTypeLike

from kernels import staircase
from kernels.backend import Padding, Products, Strides
from kernels.config import StaircaseConfig
from kernels.staircase import Visible

Product = Literal["forward", "input_gradient", "weight_gradient"]


def staircase_config(product: Product, w_shape: tuple[int, ...], visible: Visible) -> StaircaseConfig:
    """Returns the configuration of `xla_staircase` for one product.

    Args:
      product: which of the three.
      w_shape: [kh, kw, C, K].
      visible: the staircase.

    Returns:
      The fastest configuration measured on a CPU for such shapes.
    """
    kh, _, in_channels, out_channels = w_shape
    if product == "forward" and in_channels == 1:
        return StaircaseConfig(method="taps")
    if product == "weight_gradient" and in_channels <= 4:
        return StaircaseConfig(method="patches")
    blocks = 1 if staircase.is_dense(visible, in_channels) else _blocks(product, min(in_channels, out_channels))
    by_rows = product == "input_gradient" and kh > 1 and in_channels < 64
    return StaircaseConfig(blocks, "rows" if by_rows else "convolution")


def _blocks(product: Product, channels: int) -> int:
    # A block narrower than 32 channels leaves the vector units idle; the weight gradient's also repacks its inputs.
    narrowest = 64 if product == "weight_gradient" else 32
    return max(1, min(8, channels // narrowest))


def products(
    platform: str,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    dtype: DTypeLike,
    visible: Visible,
    *,
    strides: Strides,
    padding: Padding,
) -> Products:
    """Returns the fastest known product functions for these shapes on this platform."""
    from kernels import xla_staircase

    return Products(xla_staircase.forward, xla_staircase.input_gradient, xla_staircase.weight_gradient)
