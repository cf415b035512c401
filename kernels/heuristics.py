"""What to run when nothing is named: an implementation per platform, a configuration per shape."""

from typing import Literal

import jax.numpy as jnp
from jax.typing import DTypeLike

from kernels import staircase, tpu_layout
from kernels.backend import Padding, Products, Strides
from kernels.config import StaircaseConfig, TpuConfig
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
    kh, kw, in_channels, out_channels = w_shape
    if product == "forward" and in_channels == 1:
        return StaircaseConfig(method="taps")
    if product == "weight_gradient" and in_channels <= 4:
        return StaircaseConfig(method="patches")
    by_rows = product == "input_gradient" and kh > 1 and in_channels < 64
    if staircase.is_dense(visible, in_channels):
        blocks = 1
    else:
        # Narrower blocks leave the vector units idle. The weight gradient repacks its inputs for every block.
        narrowest = 64 if kh * kw == 1 else 32
        most = 4 if product == "weight_gradient" else 8
        blocks = max(1, min(most, in_channels // narrowest, out_channels // narrowest))
    return StaircaseConfig(blocks, "rows" if by_rows else "convolution")


def tpu_config(y_shape: tuple[int, ...], w_shape: tuple[int, ...], strides: Strides, dtype: DTypeLike) -> TpuConfig:
    """Returns tile sizes for `pallas_tpu`, chosen by arithmetic: no TPU has been measured.

    Args:
      y_shape: [B, H', W', K] of the product's output.
      w_shape: [kh, kw, C, K].
      strides: (vertical, horizontal).
      dtype: of x and w.

    Returns:
      Blocks of about 512 pixels a row, or of as many rows as fit into a quarter of VMEM.
    """
    itemsize = jnp.dtype(dtype).itemsize
    lanes = tpu_layout.sublanes(itemsize)
    batch, rows, columns = y_shape[:3]
    if w_shape[:2] == (1, 1) and strides == (1, 1):
        batch, rows, columns = batch * rows * columns, 1, 1
    images = min(tpu_layout.round_up(batch, lanes), tpu_layout.round_up(-(-512 // columns), lanes))
    while True:
        for blocks in range(1, rows + 1):
            config = TpuConfig(batch=images, rows=-(-rows // blocks))
            if tpu_layout.vmem_bytes(columns, w_shape, strides, itemsize, config) <= 2**25:
                return config
        if images == lanes:
            return config
        images = max(lanes, tpu_layout.round_up(images // 2, lanes))


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
