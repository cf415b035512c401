"""The one custom VJP: any three products, joined into a differentiable convolution."""

import functools

import jax
from jax import Array

from .backend import Products
from .geometry import Padding, Strides
from .staircase import Visible


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def conv(x: Array, w: Array, products: Products, visible: Visible, strides: Strides, padding: Padding) -> Array:
    """Returns `products.forward`, with the other two products as its gradients.

    Args:
      x: [B, H, W, C] inputs.
      w: [kh, kw, C, K] weights; those past the staircase are ignored and get a gradient of zero.
      products: the functions to use.
      visible: the staircase.
      strides: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).

    Returns:
      [B, H', W', K] outputs.
    """
    return products.forward(x, w, visible, strides=strides, padding=padding)


def _conv_fwd(
    x: Array, w: Array, products: Products, visible: Visible, strides: Strides, padding: Padding
) -> tuple[Array, tuple[Array, Array]]:
    return conv(x, w, products, visible, strides, padding), (x, w)


def _conv_bwd(
    products: Products,
    visible: Visible,
    strides: Strides,
    padding: Padding,
    residuals: tuple[Array, Array],
    dy: Array,
) -> tuple[Array, Array]:
    x, w = residuals
    dx = products.input_gradient(dy, w, visible, x_shape=x.shape, strides=strides, padding=padding)
    dw = products.weight_gradient(x, dy, visible, w_shape=w.shape, strides=strides, padding=padding)
    return dx, dw


conv.defvjp(_conv_fwd, _conv_bwd)
