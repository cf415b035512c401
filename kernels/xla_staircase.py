"""Block rows as ordinary convolutions: each reads only the inputs that its outputs may see.

    forward          y[.., rows]      = x[.., :depth]  * w[:depth, rows]        one product per block row
    input gradient   dx[.., cols]     = dy[.., first:] * w[cols, first:]ᵀ       one product per block column
    weight gradient  dw[:depth, rows] = x[.., :depth]  ⋆ dy[.., rows]           one product per block row

No block's result is a partial sum of another's, so nothing is added up and rounding is that of a dense convolution.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from kernels import heuristics, staircase, xla_products
from kernels.backend import Padding, Strides
from kernels.config import StaircaseConfig
from kernels.reference import masked
from kernels.staircase import Visible


def forward(
    x: Float[Array, "B H W C"],
    w: Float[Array, "kh kw C K"],
    visible: Visible,
    *,
    strides: Strides,
    padding: Padding,
    config: StaircaseConfig | None = None,
) -> Float[Array, "B H2 W2 K"]:
    """Returns the convolution, one block row of outputs at a time."""
    config = config or heuristics.staircase_config("forward", w.shape, visible)
    product = xla_products.FORWARD[config.method]
    rows = []
    for start, stop, depth in staircase.block_rows(visible, config.blocks):
        block = masked(w[:, :, :depth, start:stop], visible[start:stop])
        rows.append(product(x[..., :depth], block, strides=strides, padding=padding))
    return _join(rows)


def input_gradient(
    dy: Float[Array, "B H2 W2 K"],
    w: Float[Array, "kh kw C K"],
    visible: Visible,
    *,
    x_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
    config: StaircaseConfig | None = None,
) -> Float[Array, "B H W C"]:
    """Returns dx, one block column of inputs at a time."""
    config = config or heuristics.staircase_config("input_gradient", w.shape, visible)
    product = xla_products.INPUT_GRADIENT[config.method]
    columns = []
    for start, stop, first in staircase.block_columns(visible, w.shape[2], config.blocks):
        seen = tuple(min(max(v - start, 0), stop - start) for v in visible[first:])
        block = masked(w[:, :, start:stop, first:], seen)
        shape = (*x_shape[:3], stop - start)
        columns.append(product(dy[..., first:], block, x_shape=shape, strides=strides, padding=padding))
    return _join(columns)


def weight_gradient(
    x: Float[Array, "B H W C"],
    dy: Float[Array, "B H2 W2 K"],
    visible: Visible,
    *,
    w_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
    config: StaircaseConfig | None = None,
) -> Float[Array, "kh kw C K"]:
    """Returns dw, one block row of outputs at a time; exactly zero past the staircase."""
    config = config or heuristics.staircase_config("weight_gradient", w_shape, visible)
    product = xla_products.WEIGHT_GRADIENT[config.method]
    kh, kw, in_channels, _ = w_shape
    rows = []
    for start, stop, depth in staircase.block_rows(visible, config.blocks):
        shape = (kh, kw, depth, stop - start)
        row = product(x[..., :depth], dy[..., start:stop], w_shape=shape, strides=strides, padding=padding)
        row = masked(row, visible[start:stop])
        rows.append(jnp.pad(row, ((0, 0), (0, 0), (0, in_channels - depth), (0, 0))))
    return _join(rows)


def unsupported(
    x: Float[Array, "B H W C"], w: Float[Array, "kh kw C K"], visible: Visible, *, strides: Strides, padding: Padding
) -> str | None:
    """Returns None: XLA convolves anything anywhere."""
    return None


def _join(blocks: list[Array]) -> Array:
    return blocks[0] if len(blocks) == 1 else jnp.concatenate(blocks, axis=-1)
