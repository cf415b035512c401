"""A triangular convolution in groups: an output reads inputs of its own group alone.

Dimensions: B batch, H height, W width in pixels, C input channels, K output channels.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers.conv import Conv, TriConv
from awn_jax.layers.op import Costs, Layer, Ordinary, check_channels


class GroupedConv(Layer):
    """A convolution whose channels are dealt to groups in turn: channel c belongs to group c mod `groups`.

    Ordinary grouped convolutions give each group a run of channels, so a narrow network would hold the first groups only.
    Dealt in turn, every group has its share of the channels at every width.

    Args:
        inputs: input axis, or its number of channels; channels are born `groups` at a time, see `Axis.of`.
        outputs: likewise.
        kernel_size: rows and columns, or one number for both.
        groups: at least 1.
        conv: makes the convolution of a group.
        options: of the convolutions, see `Conv`.

    Attributes:
        convs: one for each group.

    Raises:
        ValueError: if channels are not born `groups` at a time.

    Source: group convolutions as of ShuffleNet (Zhang et al., 2018), in a form that keeps the prefix property.
    """

    reads_whole: ClassVar[bool] = True

    def __init__(
        self,
        inputs: int | widths.Axis,
        outputs: int | widths.Axis,
        kernel_size: int | tuple[int, int],
        *,
        groups: int,
        conv: Callable[..., Conv] = TriConv,
        **options: Any,
    ):
        if groups < 1:
            raise ValueError(f"groups must be at least 1, got {groups}")
        self.inputs, self.outputs = (widths.Axis.of(axis, group=groups) for axis in (inputs, outputs))
        self.groups = groups
        reads, writes = share(self.inputs, groups, "inputs"), share(self.outputs, groups, "outputs")
        self.convs = nnx.List([conv(reads, writes, kernel_size, **options) for _ in range(groups)])

    @property
    def keeps_prefix(self) -> bool:  # type: ignore[override]
        return all(conv.keeps_prefix for conv in self.convs)

    def apply(self, x: Float[Array, "B H W C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B h w K"]:
        check_channels(self, x, self.inputs.active(width), width)
        return self._dealt([conv.apply(x[..., i :: self.groups], width=width) for i, conv in enumerate(self.convs)])

    def added(self, x: Float[Array, "B H W C"], *, width: widths.Width, after: widths.Width) -> Float[Array, "B h w K"]:
        parts = [conv.added(x[..., i :: self.groups], width=width, after=after) for i, conv in enumerate(self.convs)]
        return self._dealt(parts)

    @staticmethod
    def _dealt(parts: Sequence[Array]) -> Array:
        y = jnp.stack(parts, -1)
        return y.reshape(*y.shape[:-2], -1)

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return self.outputs

    def costs(self, shape: tuple[int, ...], at: Sequence[widths.Width]) -> Costs:
        parts = [conv.costs(shape, at) for conv in self.convs]
        params, macs = np.sum([(part.params, part.macs) for part in parts], 0)
        return Costs(params, macs)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        # A dense kernel with zeros between groups: other programs give each group a run of channels.
        parts = [conv.ordinary(width, *shapes) for conv in self.convs]
        first = parts[0].arrays["kernel"]
        kernel = np.zeros((*first.shape[:2], first.shape[2] * self.groups, first.shape[3] * self.groups))
        bias = np.zeros(first.shape[3] * self.groups)
        for group, part in enumerate(parts):
            kernel[:, :, group :: self.groups, group :: self.groups] = part.arrays["kernel"]
            bias[group :: self.groups] = part.arrays["bias"]
        return Ordinary("conv", {"kernel": kernel, "bias": bias}, parts[0].settings)


def share(axis: widths.Axis, groups: int, name: str) -> widths.Axis:
    """The channels of one group, alike for all.

    Raises:
        ValueError: if they are not.
    """
    births = np.asarray(axis.births)
    if len(births) % groups or (births.reshape(-1, groups) != births[::groups, None]).any():
        raise ValueError(
            f"{name} must be born {groups} at a time, one for each of groups={groups}: make them with "
            f"Axis.of(channels, group={groups}), channels a multiple of {groups}; got {axis.channels} channels"
        )
    return widths.Axis(tuple(births[::groups].tolist()), axis.denominator)
