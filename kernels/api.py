"""The public ops: argument checks, choice of implementation, dispatch."""

import operator
from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from . import backend, choice, sharded, staircase, vjp
from .backend import Implementation, Products, UnsupportedError
from .geometry import Padding, Strides
from .target import current_platform

PaddingLike = Literal["SAME", "VALID"] | Sequence[tuple[int, int]]


def triangular_conv(
    x: Float[Array, "B H W C"],
    w: Float[Array, "kh kw c K"],
    visible: Sequence[int],
    *,
    strides: int | tuple[int, int] = 1,
    padding: PaddingLike = "SAME",
    implementation: Implementation | None = None,
) -> Float[Array, "B H2 W2 K"]:
    """Convolves, each output channel reading only its first few input channels.

        y[b, i, j, k] = Σ_{c < visible[k]} Σ_{p, q} x[b, i·s + p, j·s + q, c] · w[p, q, c, k]

    Whole blocks of weights past the staircase cost nothing, forward or backward, in implementations that cut the layer
    into blocks (see docs/kernels.md). What `w` holds there is never read, and its gradient there is exactly zero. bfloat16
    is accumulated in float32.

    On a mesh, images that are split over devices stay where they are, and the weight gradient is summed over devices: XLA sees
    to that, or, where it cannot look into a kernel, this package (docs/kernels.md).

    It has reverse-mode gradients alone (`jax.jvp` raises TypeError), and gradients of gradients where it runs as
    `reference` or `xla_staircase`.

    Args:
      x: [B, H, W, C] inputs.
      w: [kh, kw, C, K] weights, of the dtype of `x`.
      visible: static number of leading input channels that each of the K outputs may read; never decreases.
      strides: one for both directions, or (vertical, horizontal).
      padding: "SAME", "VALID" or ((top, bottom), (left, right)).
      implementation: one of `IMPLEMENTATIONS`, or None for the fastest on this platform at these shapes.

    Returns:
      [B, H', W', K] outputs, of the dtype of `x`.

    Raises:
      ValueError: if the shapes disagree or an argument is out of range.
      TypeError: if a dtype is no float or the two differ.
      UnsupportedError: if the named implementation cannot run these arguments here.

    Example:
      >>> x, w = jnp.ones((1, 4, 4, 2)), jnp.ones((1, 1, 2, 2))
      >>> triangular_conv(x, w, (1, 2))[0, 0, 0].tolist()
      [1.0, 2.0]

    Source:
      "Any-Width Networks", Vu et al., 2020 (arXiv 2012.03153): triangular convolution.
    """
    _check_arrays(x, w, ndim=4)
    checked = staircase.check_visible(visible, w.shape[2], w.shape[3])
    pair = _normalise_strides(strides)
    x, pads = _within_reach(x, _normalise_padding(padding, x.shape[1:3], w.shape[:2], pair), w.shape[:2])
    products = _products(implementation, x, w, checked, strides=pair, padding=pads)
    return vjp.conv(x, w, products, checked, pair, pads)


def triangular_matmul(
    x: Float[Array, "... C"],
    w: Float[Array, "c K"],
    visible: Sequence[int],
    *,
    implementation: Implementation | None = None,
) -> Float[Array, "... K"]:
    """Multiplies by a matrix of which output `k` reads only the first `visible[k]` inputs; the op of dense layers.

    Args:
      x: [..., C] inputs.
      w: [C, K] weights, of the dtype of `x`.
      visible: static number of leading inputs that each of the K outputs may read; never decreases.
      implementation: one of `IMPLEMENTATIONS`, or None for the fastest on this platform at these shapes.

    Returns:
      [..., K] outputs, of the dtype of `x`.

    Raises:
      ValueError: if the shapes disagree or an argument is out of range.
      TypeError: if a dtype is no float or the two differ.
      UnsupportedError: if the named implementation cannot run these arguments here.

    Example:
      >>> triangular_matmul(jnp.ones((3, 2)), jnp.ones((2, 2)), (1, 2))[0].tolist()
      [1.0, 2.0]
    """
    _check_arrays(x, w, ndim=2)
    # A 1×1 convolution over a batch of single pixels: a batch sharded over devices stays so.
    pixels = x.reshape(-1, 1, 1, x.shape[-1])
    y = triangular_conv(pixels, w[None, None], visible, padding="VALID", implementation=implementation)
    return y.reshape(*x.shape[:-1], w.shape[-1])


def _products(
    implementation: str | None, x: Array, w: Array, visible: staircase.Visible, *, strides: Strides, padding: Padding
) -> Products:
    name = implementation or choice.implementation(current_platform(), w.shape)
    module = backend.load(name)
    reason = module.unsupported(x, w, visible, strides=strides, padding=padding)
    if reason is not None:
        raise UnsupportedError(f'implementation="{name}" cannot run: {reason}')
    return sharded.over_devices(Products.of(module), xla=name in backend.MADE_OF_XLA)


def _check_arrays(x: Array, w: Array, ndim: int) -> None:
    if x.ndim < 1:
        raise ValueError(f"x must have channels, got shape {x.shape}")
    if w.ndim != ndim:
        raise ValueError(f"w must have {ndim} dimensions, got shape {w.shape}")
    if x.ndim != ndim and ndim == 4:
        raise ValueError(f"x must have the 4 dimensions [B, H, W, C], got shape {x.shape}")
    if x.shape[-1] != w.shape[-2]:
        raise ValueError(f"x has {x.shape[-1]} channels (shape {x.shape}), w reads {w.shape[-2]} (shape {w.shape})")
    if 0 in w.shape:
        raise ValueError(f"w must have no empty dimension, got shape {w.shape}")
    if x.dtype != w.dtype:
        raise TypeError(f"x and w must have one dtype, got {x.dtype} and {w.dtype}")
    if not jnp.issubdtype(x.dtype, jnp.floating) or x.dtype.itemsize < 2:
        raise TypeError(f"x and w must hold floats of 16 bits or more, got {x.dtype}")


def _normalise_strides(strides: int | tuple[int, int]) -> Strides:
    try:
        pair = tuple(map(operator.index, strides if isinstance(strides, Sequence) else (strides, strides)))
    except TypeError:
        pair = ()
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"strides must be one or two positive integers, got {strides}")
    return pair[0], pair[1]


def _normalise_padding(
    padding: PaddingLike, in_size: tuple[int, ...], kernel: tuple[int, ...], strides: Strides
) -> Padding:
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID"):
            raise ValueError(f'padding must be "SAME", "VALID" or ((lo, hi), (lo, hi)), got {padding!r}')
        pads = [(int(low), int(high)) for low, high in lax.padtype_to_pads(in_size, kernel, strides, padding)]
    else:
        try:
            pads = [(operator.index(low), operator.index(high)) for low, high in padding]
        except (TypeError, ValueError):
            pads = []
    if len(pads) != 2 or min(map(min, pads)) < 0:
        raise ValueError(f"padding must hold two pairs of integers of at least 0, got {padding}")
    for size, taps, (low, high) in zip(in_size, kernel, pads, strict=True):
        if size + low + high < taps:
            raise ValueError(f"x, {size} pixels padded by {padding}, is smaller than the kernel of {taps}")
    return pads[0], pads[1]


def _within_reach(x: Array, padding: Padding, kernel: tuple[int, ...]) -> tuple[Array, Padding]:
    """Makes pixels of padding that only windows outside of the image see."""
    # The input gradient would have to crop one side of dy and pad the other: XLA on a CPU then reads foreign memory
    # (JAX 0.10.2).
    near = [tuple(min(pad, taps - 1) for pad in pads) for pads, taps in zip(padding, kernel, strict=True)]
    far = [(low - inner[0], high - inner[1]) for (low, high), inner in zip(padding, near, strict=True)]
    if any(map(any, far)):
        x = jnp.pad(x, ((0, 0), *far, (0, 0)))
    return x, ((near[0][0], near[0][1]), (near[1][0], near[1][1]))
