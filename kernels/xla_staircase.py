"""Block rows as ordinary convolutions: each reads only the inputs that its outputs may see.

    forward          y[.., rows]  = conv(x[.., :depth], w[:depth, rows])        one convolution per block row
    input gradient   dx[.., cols] = convᵀ(dy[.., first:], w[cols, first:])      one per block column
    weight gradient  dw[:depth, rows] = correlation(x[.., :depth], dy[.., rows])  one per block row

No block's result is a partial sum of another's, so nothing is added up and rounding is that of a dense convolution.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from kernels import reference, staircase
from kernels.backend import Padding, Strides
from kernels.staircase import Visible

BLOCKS = 4


def forward(
    x: Float[Array, "B H W C"], w: Float[Array, "kh kw C K"], visible: Visible, *, strides: Strides, padding: Padding
) -> Float[Array, "B H2 W2 K"]:
    """Returns the convolution, one block row of outputs at a time."""
    return jnp.concatenate(
        [
            reference.forward(
                x[..., :depth], w[:, :, :depth, start:stop], visible[start:stop], strides=strides, padding=padding
            )
            for start, stop, depth in staircase.block_rows(visible, BLOCKS)
        ],
        axis=-1,
    )


def input_gradient(
    dy: Float[Array, "B H2 W2 K"],
    w: Float[Array, "kh kw C K"],
    visible: Visible,
    *,
    x_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
) -> Float[Array, "B H W C"]:
    """Returns dx, one block column of inputs at a time."""
    return jnp.concatenate(
        [
            reference.input_gradient(
                dy[..., first:],
                w[:, :, start:stop, first:],
                tuple(min(max(v - start, 0), stop - start) for v in visible[first:]),
                x_shape=(*x_shape[:-1], stop - start),
                strides=strides,
                padding=padding,
            )
            for start, stop, first in staircase.block_columns(visible, x_shape[-1], BLOCKS)
        ],
        axis=-1,
    )


def weight_gradient(
    x: Float[Array, "B H W C"],
    dy: Float[Array, "B H2 W2 K"],
    visible: Visible,
    *,
    w_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
) -> Float[Array, "kh kw C K"]:
    """Returns dw, one block row of outputs at a time; exactly zero past the staircase."""
    kh, kw, in_channels, _ = w_shape
    rows = []
    for start, stop, depth in staircase.block_rows(visible, BLOCKS):
        row = reference.weight_gradient(
            x[..., :depth],
            dy[..., start:stop],
            visible[start:stop],
            w_shape=(kh, kw, depth, stop - start),
            strides=strides,
            padding=padding,
        )
        rows.append(jnp.pad(row, ((0, 0), (0, 0), (0, in_channels - depth), (0, 0))))
    return jnp.concatenate(rows, axis=-1)


def unsupported(
    x: Float[Array, "B H W C"], w: Float[Array, "kh kw C K"], visible: Visible, *, strides: Strides, padding: Padding
) -> str | None:
    """Returns None: XLA convolves anything anywhere."""
    return None
