"""What to run when nothing is named: an implementation per platform, a configuration per shape."""

from typing import Literal

import jax.numpy as jnp
from jax.typing import DTypeLike

from kernels import staircase, tpu_layout
from kernels.backend import Strides
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
    kh, _kw, in_channels, out_channels = w_shape
    if product == "forward" and visible[-1] == in_channels == 1:
        return StaircaseConfig(method="taps")
    if product == "weight_gradient" and in_channels <= 4:
        return StaircaseConfig(method="patches")
    by_rows = product == "input_gradient" and kh > 1 and in_channels < 64
    blocks = 1
    if not staircase.is_dense(visible, in_channels):
        blocks = max(1, min(in_channels, out_channels) // _narrowest_block(product, w_shape, by_rows))
        blocks = min(blocks, _most_blocks(product, w_shape))
    return StaircaseConfig(blocks, "rows" if by_rows else "convolution")


def _narrowest_block(product: Product, w_shape: tuple[int, ...], by_rows: bool) -> int:
    if by_rows:
        return 20
    if product == "weight_gradient" or w_shape[:2] == (1, 1):
        return 64
    # XLA's convolution library runs narrower ones on one core.
    return 128


def _most_blocks(product: Product, w_shape: tuple[int, ...]) -> int:
    if product != "weight_gradient":
        return 8
    return 2 if w_shape[:2] != (1, 1) and min(w_shape[2:]) >= 512 else 4


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
    images = min(tpu_layout.round_up(batch, lanes), tpu_layout.round_up(-(-512 // columns), lanes))
    while True:
        for blocks in range(1, rows + 1):
            config = TpuConfig(batch=images, rows=-(-rows // blocks))
            if tpu_layout.vmem_bytes(columns, w_shape, strides, itemsize, config) <= 2**25:
                return config
        if images == lanes:
            return config
        images = max(lanes, tpu_layout.round_up(images // 2, lanes))


def implementation(platform: str, w_shape: tuple[int, ...]) -> str:
    """Returns the implementation to use where none is named.

    Args:
      platform: "cpu", "gpu" or "tpu".
      w_shape: [kh, kw, C, K].

    Returns:
      On a CPU, the staircase, which was measured to be fastest. On a TPU, the staircase where its blocks fill the
      matrix unit. Elsewhere the masked dense convolution. An accelerator's own kernels are taken by name: unlike
      XLA's convolutions they are not partitioned over a mesh automatically.
    """
    wide = min(w_shape[2:]) >= 8 * tpu_layout.LANES
    return "xla_staircase" if platform == "cpu" or (platform == "tpu" and wide) else "reference"
