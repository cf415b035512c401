"""A convolution of every channel by itself.

Dimensions: B batch, H height, W width in pixels, C channels.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers.functional import per_channel
from awn_jax.layers.op import Costs, Layer, Ordinary, check_channels
from awn_jax.layers.sliced import uniform_bias
from awn_jax.layers.window import Padding, pads, pair


class DepthwiseConv(Layer):
    """A 2-D convolution of each channel with a kernel of its own, the same at every width, in every family of networks.

    Args:
        axis: channels, or their number.
        kernel_size: rows and columns, or one number for both.
        strides: rows and columns, or one number for both.
        padding: `SAME`, `VALID`, a number of pixels on every side, or ((top, bottom), (left, right)).
        use_bias: a bias for each channel. Useless in front of a batch norm, so off.
        dtype: of the weights; the input is converted to it.
        rngs: source of the initial weights (stream `params`); uniform in ±1/√taps.

    Attributes:
        kernel: [kh, kw, C].
        bias: [C], or None.

    Raises:
        ValueError: if a size, stride or padding makes no sense.
    """

    def __init__(
        self,
        axis: int | widths.Axis,
        kernel_size: int | tuple[int, int],
        *,
        strides: int | tuple[int, int] = 1,
        padding: Padding = "SAME",
        use_bias: bool = False,
        dtype: jnp.dtype | type = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.axis, self.kernel_size = widths.Axis.of(axis), pair(kernel_size, "kernel_size")
        self.strides, self.padding = pair(strides, "strides"), pads(padding)
        taps, channels = math.prod(self.kernel_size), self.axis.channels
        kernel = jax.random.uniform(rngs.params(), (*self.kernel_size, channels), dtype, -1, 1) * taps**-0.5
        self.kernel = nnx.Param(kernel.astype(dtype))
        bias = uniform_bias(rngs.params(), taps, channels, dtype) if use_bias else None
        self.bias = None if bias is None else nnx.Param(bias)

    def apply(self, x: Float[Array, "B H W C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B h w C"]:
        check_channels(self, x, self.axis.active(width), width)
        return self._product(x, slice(0, self.axis.active(width)))

    def added(self, x: Float[Array, "B H W C"], *, width: widths.Width, after: widths.Width) -> Float[Array, "B h w C"]:
        return self._product(x, slice(self.axis.active(after), self.axis.active(width)))

    def _product(self, x: Array, channels: slice) -> Array:
        kernel = self.kernel[..., channels]
        y = by_taps(x.astype(kernel.dtype), kernel, self.strides, self._pads(x.shape[1:3]))
        return y if self.bias is None else y + per_channel(self.bias[channels], y)

    def _pads(self, size: tuple[int, ...]) -> Sequence[tuple[int, int]]:
        if not isinstance(self.padding, str):
            return self.padding
        return lax.padtype_to_pads(size, self.kernel_size, self.strides, self.padding)

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return self.axis

    def costs(self, shape: tuple[int, ...], at: Sequence[widths.Width]) -> Costs:
        active = self.axis.active_at(at)
        weights = math.prod(self.kernel_size) * active
        return Costs(weights + (0 if self.bias is None else active), weights * math.prod(shape[:-1]))

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        active = self.axis.active(width)
        bias = np.zeros(active) if self.bias is None else np.asarray(self.bias[...], np.float64)[:active]
        arrays = {"kernel": np.asarray(self.kernel[...], np.float64)[..., :active], "bias": bias}
        padding = tuple((int(low), int(high)) for low, high in self._pads(shapes[0][:2]))
        return Ordinary("depthwise", arrays, {"strides": self.strides, "padding": padding})


def by_taps(
    x: Float[Array, "B H W C"],
    kernel: Float[Array, "kh kw C"],
    strides: tuple[int, int],
    padding: Sequence[tuple[int, int]],
) -> Float[Array, "B h w C"]:
    """A depthwise convolution as one multiply-add of the shifted image for each tap.

    XLA on a CPU takes about three times as long for a convolution with feature groups, and more for its gradient.
    """
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    height, breadth = (
        (size - taps) // step + 1 for size, taps, step in zip(x.shape[1:3], kernel.shape[:2], strides, strict=True)
    )
    if min(height, breadth) < 1:
        raise ValueError(f"x, padded to {x.shape[1:3]} pixels, is smaller than the kernel of {kernel.shape[:2]}")
    total: Array | None = None
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            last = (
                x.shape[0],
                row + (height - 1) * strides[0] + 1,
                column + (breadth - 1) * strides[1] + 1,
                x.shape[3],
            )
            shifted = lax.slice(x, (0, row, column, 0), last, (1, *strides, 1))
            part = shifted * per_channel(kernel[row, column], shifted)
            total = part if total is None else total + part
    assert total is not None
    return total
