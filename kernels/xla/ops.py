"""Blocks of the staircase as ordinary convolutions, each with few inputs and all the outputs that those reach.

    forward          y[.., first:]    += x[.., cols]  * w[cols, first:]         one product per block column
    input gradient   dx[.., :depth]   += dy[.., rows] * w[:depth, rows]ᵀ        one product per block row
    weight gradient  dw[cols, first:]  = x[.., cols]  ⋆ dy[.., first:]          one product per block column

The sums are taken in float32 at least and rounded once. The other way round, few outputs from all of their inputs, there
would be nothing to add, but every product would read most of x again, for few outputs: that is slower on a CPU.
"""

import functools
import operator

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import staircase
from ..geometry import Padding, Strides
from ..reference import masked
from ..staircase import Visible
from . import conv, weights
from .config import StaircaseConfig, staircase_config


def forward(
    x: Float[Array, "B H W C"],
    w: Float[Array, "kh kw C K"],
    visible: Visible,
    *,
    strides: Strides,
    padding: Padding,
    config: StaircaseConfig | None = None,
) -> Float[Array, "B H2 W2 K"]:
    """Returns the convolution, the sum of what each block column of inputs adds."""
    config = config or staircase_config("forward", w.shape, visible, strides)
    product = conv.FORWARD[config.method]
    terms = []
    for start, stop, first in staircase.block_columns(visible, w.shape[2], config.blocks, config.multiple):
        block = masked(w[:, :, start:stop, first:], _seen(visible, start, stop, first))
        y = product(x[..., start:stop], block, strides=strides, padding=padding)
        terms.append(jnp.pad(y, ((0, 0), (0, 0), (0, 0), (first, 0))))
    return functools.reduce(operator.add, terms).astype(x.dtype)


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
    """Returns dx, the sum of what each block row of outputs sends back."""
    config = config or staircase_config("input_gradient", w.shape, visible, strides)
    product = conv.INPUT_GRADIENT[config.method]
    terms = []
    for start, stop, depth in staircase.block_rows(visible, config.blocks, config.multiple):
        block = masked(w[:, :, :depth, start:stop], visible[start:stop])
        shape = (*x_shape[:3], depth)
        dx = product(dy[..., start:stop], block, x_shape=shape, strides=strides, padding=padding)
        terms.append(jnp.pad(dx, ((0, 0), (0, 0), (0, 0), (0, x_shape[3] - depth))))
    return functools.reduce(operator.add, terms).astype(dy.dtype)


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
    """Returns dw, one block column of inputs at a time; exactly zero past the staircase."""
    config = config or staircase_config("weight_gradient", w_shape, visible, strides)
    product = weights.WEIGHT_GRADIENT[config.method]
    kh, kw, in_channels, out_channels = w_shape
    columns = []
    for start, stop, first in staircase.block_columns(visible, in_channels, config.blocks, config.multiple):
        shape = (kh, kw, stop - start, out_channels - first)
        dw = product(x[..., start:stop], dy[..., first:], w_shape=shape, strides=strides, padding=padding)
        dw = masked(dw, _seen(visible, start, stop, first))
        columns.append(jnp.pad(dw, ((0, 0), (0, 0), (0, 0), (first, 0))))
    return jnp.concatenate(columns, axis=2).astype(x.dtype)


def unsupported(
    x: Float[Array, "B H W C"], w: Float[Array, "kh kw C K"], visible: Visible, *, strides: Strides, padding: Padding
) -> str | None:
    """Returns None: XLA convolves anything anywhere."""
    return None


def _seen(visible: Visible, start: int, stop: int, first: int) -> Visible:
    # The staircase of the inputs from `start` to `stop` and the outputs from `first` on.
    return tuple(min(max(v - start, 0), stop - start) for v in visible[first:])
