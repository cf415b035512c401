"""Maxima and means over pixels, of every channel by itself.

Dimensions: B batch, H height, W width in pixels, C channels.
"""

import dataclasses
import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers.op import Op, Ordinary, run
from awn_jax.layers.window import Padding, Pads, pads, pair


@dataclasses.dataclass(frozen=True)
class Pool(Op):
    """The maximum or the mean of each window.

    Attributes:
        mean: the mean, in place of the maximum.
        window, strides: rows and columns.
        padding: ((top, bottom), (left, right)); a mean counts the zeros there.
    """

    mean: bool
    window: tuple[int, int]
    strides: tuple[int, int]
    padding: Pads

    def apply(self, x: Float[Array, "B H W C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B h w C"]:
        if self.window == self.strides and self.padding == ((0, 0), (0, 0)):
            return self._side_by_side(x)
        window, strides = (1, *self.window, 1), (1, *self.strides, 1)
        padding = ((0, 0), *self.padding, (0, 0))
        if self.mean:
            return lax.reduce_window(x, 0.0, lax.add, window, strides, padding) / math.prod(self.window)
        return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, padding)

    def _side_by_side(self, x: Array) -> Array:
        # Over a reshaped array: the gradient of `lax.reduce_window` takes seven times as long on a CPU. Where several
        # elements of a square are equal, they share the gradient of their maximum.
        batch, height, breadth, channels = x.shape
        (rows, columns), (height, breadth) = self.window, (height // self.window[0], breadth // self.window[1])
        x = lax.slice(x, (0, 0, 0, 0), (batch, height * rows, breadth * columns, channels))
        x = x.reshape(batch, height, rows, breadth, columns, channels)
        return x.mean((2, 4)) if self.mean else x.max((2, 4))

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        kind = "mean_pool" if self.mean else "max_pool"
        return Ordinary(kind, settings={"window": self.window, "strides": self.strides, "padding": self.padding})


def max_pool(
    x: Float[Array, "B H W C"],
    window: int | tuple[int, int] = 2,
    *,
    strides: int | tuple[int, int] | None = None,
    padding: Padding = "VALID",
) -> Float[Array, "B h w C"]:
    """The maximum of each window; rows and columns left over are dropped.

    Args:
        x: features.
        window: rows and columns, or one number for both.
        strides: rows and columns, or one number for both; the window's size if None.
        padding: `VALID`, `SAME`, a number of pixels on every side, or ((top, bottom), (left, right)).

    Raises:
        ValueError: if a size makes no sense, or `x` is smaller than the window.
    """
    return run(_pool(x, window, strides, padding, mean=False), (x,), 1)


def mean_pool(
    x: Float[Array, "B H W C"],
    window: int | tuple[int, int] = 2,
    *,
    strides: int | tuple[int, int] | None = None,
    padding: Padding = "VALID",
) -> Float[Array, "B h w C"]:
    """The mean of each window, which counts the zeros of the padding; arguments and errors as for `max_pool`."""
    return run(_pool(x, window, strides, padding, mean=True), (x,), 1)


def _pool(
    x: Array,
    window: int | tuple[int, int],
    strides: int | tuple[int, int] | None,
    padding: Padding,
    *,
    mean: bool,
) -> Pool:
    size = pair(window, "window")
    steps = size if strides is None else pair(strides, "strides")
    around = pads(padding)
    if isinstance(around, str):
        (top, bottom), (left, right) = lax.padtype_to_pads(x.shape[1:3], size, steps, around)
        around = ((int(top), int(bottom)), (int(left), int(right)))
    if any(max(pad) >= taps for pad, taps in zip(around, size, strict=True)):
        raise ValueError(f"padding must be smaller than the window {size}, got {around}")
    if any(pixels + sum(pad) < taps for pixels, pad, taps in zip(x.shape[1:3], around, size, strict=True)):
        raise ValueError(f"x, of {x.shape[1:3]} pixels, is smaller than the window {size}")
    return Pool(mean, size, steps, around)


@dataclasses.dataclass(frozen=True)
class Reduction(Op):
    """The mean or the sum over all pixels.

    Attributes:
        mean: the mean, in place of the sum.
        keepdims: keep two axes of one pixel.
    """

    mean: bool
    keepdims: bool

    def apply(self, x: Float[Array, "B H W C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B ... C"]:
        return (x.mean if self.mean else x.sum)((1, 2), keepdims=self.keepdims)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        return Ordinary("mean" if self.mean else "sum", settings={"keepdims": self.keepdims})


def global_mean(x: Float[Array, "B H W C"], *, keepdims: bool = False) -> Float[Array, "B ... C"]:
    """The mean over all pixels.

    Args:
        x: features.
        keepdims: give [B, 1, 1, C] in place of [B, C].
    """
    return run(Reduction(True, keepdims), (x,), 1)


@dataclasses.dataclass(frozen=True)
class Reshape(Op):
    """Other axes between batch and channels, with the same numbers in the same order.

    Attributes:
        pixels: the new axes.
    """

    pixels: tuple[int, ...]

    def apply(self, x: Float[Array, "B ... C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B ... C"]:
        return x.reshape(x.shape[0], *self.pixels, x.shape[-1])

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        return Ordinary("reshape", settings={"pixels": self.pixels})
