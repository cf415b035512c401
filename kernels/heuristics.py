"""What to run when nothing is named: an implementation per platform, a configuration per shape."""

from typing import Literal

import jax.numpy as jnp
from jax.typing import DTypeLike

from . import staircase, tpu_layout
from .backend import Strides
from .config import StaircaseConfig, TpuConfig
from .staircase import Visible
from .xla_products import VECTOR

Product = Literal["forward", "input_gradient", "weight_gradient"]


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
