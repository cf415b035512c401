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
from awn_jax.layers.taps import depthwise
from awn_jax.layers.window import Padding, Pads, pads, pair


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
        y = depthwise(x.astype(kernel.dtype), kernel, self.strides, self._pads(x.shape[1:3]))
        return y if self.bias is None else y + per_channel(self.bias[channels], y)

    def _pads(self, size: tuple[int, ...]) -> Pads:
        if not isinstance(self.padding, str):
            return self.padding
        (top, bottom), (left, right) = lax.padtype_to_pads(size, self.kernel_size, self.strides, self.padding)
        return (int(top), int(bottom)), (int(left), int(right))

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
        settings = {"strides": self.strides, "padding": self._pads(shapes[0][:2])}
        return Ordinary("depthwise", arrays, settings)
