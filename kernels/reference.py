"""The masked dense convolution: y = conv(x, w · mask), and the gradients that calculus gives it.

What every other backend is tested against, and the plain dense path of layers that mask nothing.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from . import staircase
from .geometry import DIMENSIONS, Padding, Strides
from .staircase import Visible


def dense_conv(
    x: Float[Array, "B H W C"], w: Float[Array, "kh kw C K"], *, strides: Strides, padding: Padding
) -> Float[Array, "B H2 W2 K"]:
    """Returns the ordinary convolution; XLA accumulates bfloat16 in float32."""
    return lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=DIMENSIONS)


def masked(w: Float[Array, "kh kw C K"], visible: Visible) -> Float[Array, "kh kw C K"]:
    """Returns the weights with those past the staircase set to zero."""
    in_channels = w.shape[2]
    return w if staircase.is_dense(visible, in_channels) else jnp.where(staircase.mask(visible, in_channels), w, 0)


def forward(
    x: Float[Array, "B H W C"], w: Float[Array, "kh kw C K"], visible: Visible, *, strides: Strides, padding: Padding
) -> Float[Array, "B H2 W2 K"]:
    """Returns y = conv(x, w · mask)."""
    return dense_conv(x, masked(w, visible), strides=strides, padding=padding)


def input_gradient(
    dy: Float[Array, "B H2 W2 K"],
    w: Float[Array, "kh kw C K"],
    visible: Visible,
    *,
    x_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
) -> Float[Array, "B H W C"]:
    """Returns dx, the transpose of `forward` in x applied to dy."""
    x = jax.ShapeDtypeStruct(x_shape, dy.dtype)
    (dx,) = jax.linear_transpose(lambda x: forward(x, w, visible, strides=strides, padding=padding), x)(dy)
    return dx


def weight_gradient(
    x: Float[Array, "B H W C"],
    dy: Float[Array, "B H2 W2 K"],
    visible: Visible,
    *,
    w_shape: tuple[int, ...],
    strides: Strides,
    padding: Padding,
) -> Float[Array, "kh kw C K"]:
    """Returns dw, the transpose of `forward` in w applied to dy; exactly zero past the staircase."""
    w = jax.ShapeDtypeStruct(w_shape, x.dtype)
    (dw,) = jax.linear_transpose(lambda w: forward(x, w, visible, strides=strides, padding=padding), w)(dy)
    return dw


def unsupported(
    x: Float[Array, "B H W C"], w: Float[Array, "kh kw C K"], visible: Visible, *, strides: Strides, padding: Padding
) -> str | None:
    """Returns None: XLA convolves anything anywhere."""
    return None
