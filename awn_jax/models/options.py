"""What every model can be told, and the parts that it is made of."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import jax.numpy as jnp
from awn_kernels import Implementation
from flax import nnx

from awn_jax import families, widths
from awn_jax.layers import Conv, Dense, DepthwiseConv, Norm
from awn_jax.layers.head import AnyWidthHead


T = TypeVar("T", bound="Options")


@dataclasses.dataclass(frozen=True)
class Options:
    """What every model can be told; a model with settings of its own has a subclass, as its `Options`.

    Attributes:
        family: one of `families.NAMES`.
        multiplier: of the published numbers of channels; 0 for the family's own: √2 for triangular networks, 1 for the others.
        grid: number of moments at which channels are born, the same ones in all layers; 0 for as many as a layer has channels.
        group: channels born together.
        core: α of the narrowest network there is, whose channels all read each other; 0 for the paper's triangle.
        fan_in: what the initial scale of a channel counts: all inputs (`full`) or those that it may read (`visible`).
        dropout: while training, share of the features that the head misses at full width; at width α, α times that.
        dtype: of weights and activations; statistics and logits are float32, or wider.
    """

    family: Literal["triangular", "s_net", "us_net", "shared_bn", "single"] = "triangular"
    multiplier: float = 0.0
    grid: int = 0
    group: int = 1
    core: float = 0.0
    fan_in: Literal["full", "visible"] = "full"
    dropout: float = 0.0
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"

    def __post_init__(self):
        for name, good, rule in (
            ("multiplier", self.multiplier >= 0, "0 or more"),
            ("grid", self.grid >= 0, "0 or more"),
            ("group", self.group >= 1, "at least 1"),
            ("core", 0 <= self.core <= 1, "in [0, 1]"),
            ("dropout", 0 <= self.dropout < 1, "in [0, 1)"),
        ):
            if not good:
                raise ValueError(f"{name} must be {rule}, got {getattr(self, name)}")


def changed(options: T, named: Mapping[str, Any]) -> T:
    """Options of which some are given by name; a `dtype` may be a type.

    Raises:
        TypeError: if a model has no such option.
    """
    values = dict(named)
    if "dtype" in values:
        values["dtype"] = jnp.dtype(values["dtype"]).name
    return dataclasses.replace(options, **values)


class Parts:
    """Makes the layers of a model as its options and its family say.

    Args:
        options: of the model.
        family: None for the one that the options name.
        implementation: of the convolutions, see `awn_kernels.triangular_conv`; None for the fastest.
        rngs: source of the initial weights.
    """

    def __init__(
        self,
        options: Options,
        *,
        family: families.Family | None = None,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
    ):
        self.options, self.rngs = options, rngs
        self.family = families.make(options.family) if family is None else family
        self.dtype = jnp.dtype(options.dtype)
        self._implementation = implementation

    def channels(self, published: int) -> int:
        """The number of channels in place of a published one."""
        return max(1, round(published * (self.options.multiplier or self.family.multiplier)))

    def axis(self, channels: int) -> widths.Axis:
        """An axis of so many channels, born as the options say."""
        options = self.options
        return widths.Axis.of(channels, options.group, options.core, options.grid or None)

    def conv(
        self, inputs: widths.Axis, outputs: widths.Axis, kernel_size: int | tuple[int, int], **options: Any
    ) -> Conv:
        """A convolution, see `layers.Conv`."""
        common: dict[str, Any] = {"fan_in": self.options.fan_in, "implementation": self._implementation}
        return self.family.conv(inputs, outputs, kernel_size, **common, **options, dtype=self.dtype, rngs=self.rngs)

    def depthwise(self, axis: widths.Axis, kernel_size: int | tuple[int, int], **options: Any) -> DepthwiseConv:
        """A convolution of every channel by itself, see `layers.DepthwiseConv`."""
        return DepthwiseConv(axis, kernel_size, **options, dtype=self.dtype, rngs=self.rngs)

    def dense(self, inputs: widths.Axis, outputs: widths.Axis, **options: Any) -> Dense:
        """A hidden dense layer, see `layers.Dense`."""
        common: dict[str, Any] = {"fan_in": self.options.fan_in, "implementation": self._implementation}
        return self.family.dense(inputs, outputs, **common, **options, dtype=self.dtype, rngs=self.rngs)

    def norm(self, axis: widths.Axis) -> Norm:
        """A norm of the family's kind."""
        return self.family.norm(axis, dtype=self.dtype)

    def head(self, inputs: widths.Axis, pixels: int, classes: int) -> AnyWidthHead:
        """The last layer, see `layers.AnyWidthHead`."""
        return AnyWidthHead(inputs, pixels, classes, dtype=self.dtype, rngs=self.rngs)
