"""What models are made of: layers as their options and their family say, on axes in place of published numbers of channels."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
from awn_kernels import Implementation
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import families, widths
from awn_jax.layers import (
    BranchedConv,
    ChannelShuffle,
    Concatenate,
    Conv,
    Dense,
    DepthwiseConv,
    GroupedConv,
    Layer,
    Norm,
)
from awn_jax.layers.head import AnyWidthHead, PixelHead
from awn_jax.models.options import Options

# How a publication rounds the number of channels at a width.
Rounding = Callable[[Fraction], int]

# At how many moments channels are born, where a publication's rule holds for any width and no grid is given.
MOMENTS = 1000


def truncated(channels: Fraction) -> int:
    """The whole number below, at least 1: slimmable ResNets and ShuffleNets."""
    return max(1, int(channels))


def divisible_by_8(channels: Fraction) -> int:
    """The nearest multiple of 8, at least 8 and no less than 0.9 times as many: all MobileNets.

    Source: the published code of MobileNetV2 (Sandler et al., 2018), whose numbers of channels follow from it.
    """
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if 10 * nearest >= 9 * channels else nearest + 8


class Normed(nnx.Module):
    """A layer, and the norm of what it gives."""

    def __init__(self, layer: Layer, norm: Norm):
        self.layer, self.norm = layer, norm

    def __call__(self, x: Float[Array, "B H W C"], width: widths.AnyWidth = 1) -> Float[Array, "B h w K"]:
        return self.norm(self.layer(x, width), width)


class Parts:
    """Makes the layers of a model as its options and its family say.

    Args:
        options: of the model.
        family: None for the one that the options name.
        implementation: of the convolutions, see `awn_kernels.triangular_conv`; None for the fastest.
        rngs: source of the initial weights.
        rounding: how ordinary networks of the model's publication round a number of channels at a width; None for the nearest
            whole number, as `Axis.of` does. Triangular networks always do the latter.
        together: of how many channels every number is a multiple, because so many are born together: one for each group of
            grouped convolutions.

    Raises:
        ValueError: if the options do not go with `rounding` or `together`.
    """

    def __init__(
        self,
        options: Options,
        *,
        family: families.Family | None = None,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
        rounding: Rounding | None = None,
        together: int = 1,
    ):
        self.options, self.rngs, self.together = options, rngs, together
        self.family = families.make(options.family) if family is None else family
        self.dtype = jnp.dtype(options.dtype)
        self._implementation = implementation
        self._rounding = None if self.family.nests else rounding
        if self._rounding and (options.group, options.core) != (1, 0):
            raise ValueError(
                f"group must be 1 and core 0 for a network of family {self.family.name!r}, whose channels are counted as "
                f"published, got {options.group} and {options.core}"
            )
        if options.group % together and options.group > 1:
            raise ValueError(f"group must be 1 or a multiple of {together}, got {options.group}")

    @property
    def multiplier(self) -> Fraction:
        """Of the published numbers of channels."""
        return Fraction(str(self.options.multiplier or self.family.multiplier))

    def channels(self, published: int) -> int:
        """The number of channels in place of a published one."""
        scaled = self.multiplier * published
        if self._rounding is None:
            return max(1, round(scaled / self.together)) * self.together
        return max(1, self._rounding(scaled) // self.together) * self.together

    def axis(self, channels: int) -> widths.Axis:
        """An axis of so many channels, born as the options say."""
        options = self.options
        if self.family.whole:
            return widths.Axis.whole(channels)
        return widths.Axis.of(channels, math.lcm(options.group, self.together), options.core, options.grid or None)

    def scaled(self, published: int) -> widths.Axis:
        """The axis in place of a published number of channels: at every width, ordinary networks have the channels that their
        publication gives them there."""
        if self._rounding is None or self.family.whole:
            return self.axis(self.channels(published))
        moments = self.options.grid or MOMENTS
        full = published * self.multiplier
        counts = [self._rounding(full * k / moments) // self.together for k in range(1, moments + 1)]
        return widths.Axis.counted([max(1, count) * self.together for count in counts])

    def unsliced(self, published: int) -> widths.Axis:
        """The axis in place of a number of channels that published networks have at every width, and do not make smaller where
        they have fewer channels altogether. Triangular networks slice it as any other."""
        if self.family.nests:
            return self.scaled(published)
        return widths.Axis.whole(max(published, self.channels(published)))

    def conv(
        self, inputs: widths.Axis, outputs: widths.Axis, kernel_size: int | tuple[int, int], **options: Any
    ) -> Conv:
        """A convolution, see `layers.Conv`."""
        return self.family.conv(inputs, outputs, kernel_size, **self._common, **options)

    def grouped(
        self, inputs: widths.Axis, outputs: widths.Axis, kernel_size: int | tuple[int, int], groups: int, **options: Any
    ) -> Layer:
        """A convolution in groups, see `layers.GroupedConv`."""
        if groups == 1:
            return self.conv(inputs, outputs, kernel_size, **options)
        return GroupedConv(
            inputs, outputs, kernel_size, groups=groups, conv=self.family.conv, **self._common, **options
        )

    def branched(
        self, inputs: widths.Axis, outputs: widths.Axis, kernel_size: int | tuple[int, int], **options: Any
    ) -> BranchedConv:
        """A convolution within each branch, see `layers.BranchedConv`."""
        return BranchedConv(inputs, outputs, kernel_size, conv=self.family.conv, **self._common, **options)

    def depthwise(self, axis: widths.Axis, kernel_size: int | tuple[int, int], **options: Any) -> DepthwiseConv:
        """A convolution of every channel by itself, see `layers.DepthwiseConv`."""
        return DepthwiseConv(axis, kernel_size, **options, dtype=self.dtype, rngs=self.rngs)

    def dense(self, inputs: widths.Axis, outputs: widths.Axis, **options: Any) -> Dense:
        """A hidden dense layer, see `layers.Dense`."""
        return self.family.dense(inputs, outputs, **self._common, **options)

    def norm(self, axis: widths.Axis) -> Norm:
        """A norm of the family's kind."""
        return self.family.norm(axis, dtype=self.dtype)

    def conv_norm(
        self, inputs: widths.Axis, outputs: widths.Axis, kernel_size: int, stride: int = 1, groups: int = 1
    ) -> Normed:
        """A convolution and the norm of what it gives; the image is padded by half a kernel on every side."""
        padding = kernel_size // 2
        layer = self.grouped(inputs, outputs, kernel_size, groups, strides=stride, padding=padding)
        return Normed(layer, self.norm(outputs))

    def depthwise_norm(self, axis: widths.Axis, kernel_size: int, stride: int = 1) -> Normed:
        """A convolution of every channel by itself and the norm of what it gives; padded likewise."""
        return Normed(self.depthwise(axis, kernel_size, strides=stride, padding=kernel_size // 2), self.norm(axis))

    def shuffle(self, axis: widths.Axis, groups: int) -> ChannelShuffle:
        """What moves channels between groups, see `layers.ChannelShuffle`."""
        return ChannelShuffle(axis, groups)

    def concatenate(self, *axes: widths.Axis) -> Concatenate:
        """Channels side by side in the order of their births, see `layers.Concatenate`."""
        return Concatenate(axes)

    def head(self, inputs: widths.Axis, pixels: int, classes: int) -> AnyWidthHead:
        """The last layer, see `layers.AnyWidthHead`."""
        return AnyWidthHead(inputs, pixels, classes, dtype=self.dtype, rngs=self.rngs)

    def pixel_head(self, inputs: widths.Axis, outputs: int) -> PixelHead:
        """The last layer of a network that answers for every pixel, see `layers.PixelHead`."""
        return PixelHead(inputs, outputs, dtype=self.dtype, rngs=self.rngs)

    @property
    def _common(self) -> dict[str, Any]:
        return {
            "fan_in": self.options.fan_in,
            "implementation": self._implementation,
            "dtype": self.dtype,
            "rngs": self.rngs,
        }


def check_image_size(model: str, image_size: Sequence[int], least: int) -> None:
    """Makes sure that an image is not smaller than what one feature sees the image as after all strides.

    Args:
        model: its name.
        image_size: height, width and planes.
        least: pixels in rows and columns that the strides make one of.

    Raises:
        ValueError: if it is smaller.
    """
    height, width, _ = image_size
    if min(height, width) < least:
        raise ValueError(f"image_size must be at least {least} × {least} pixels for {model}, got {height} × {width}")
