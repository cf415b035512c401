"""The shuffle between two grouped convolutions, in a form that keeps the prefix property.

Dimensions: B batch, C channels; between them pixels, if there are any.
"""

import numpy as np
from jaxtyping import Array, Float, Int

from awn_jax import widths
from awn_jax.layers.grouped import share
from awn_jax.layers.merge import permuted
from awn_jax.layers.op import Layer, Ordinary, check_channels


class ChannelShuffle(Layer):
    """Moves channels between groups, so that each group of the next `GroupedConv` reads from all groups of the one before.

    Channels are born `groups` at a time, one of each group. Each such run is rotated, the first by none, the next by one
    place, and so on: a channel changes places only with channels that are born together with it, and among any few runs
    every group hands channels to every other one.

    Args:
        axis: channels, or their number; they are born `groups` at a time, see `Axis.of`.
        groups: at least 1.

    Raises:
        ValueError: if channels are not born `groups` at a time.

    Example:
        >>> ChannelShuffle(9, 3)(jnp.arange(9.0)[None])
        Array([[0., 1., 2., 5., 3., 4., 7., 8., 6.]], dtype=float32)

    Source: the shuffle of ShuffleNet (Zhang et al., 2018), which transposes (groups, channels of a group): there a channel's
    place depends on how many channels there are, so a narrow network is no prefix of a wide one. Either way each group hands
    every group its share of the channels, to the nearest whole number.
    """

    def __init__(self, axis: int | widths.Axis, groups: int):
        self.axis, self.groups = widths.Axis.of(axis, group=groups), groups
        share(self.axis, groups, "axis")

    def apply(self, x: Float[Array, "B ... C"], *, width: widths.AnyWidth = 1) -> Float[Array, "B ... C"]:
        check_channels(self, x, self.axis.active(width), width)
        return permuted(x, self.order(width))

    def added(self, x: Float[Array, "B ... C"], *, width: widths.Width, after: widths.Width) -> Float[Array, "B ... C"]:
        return permuted(x, self.order(width, after))

    def births(self, *inputs: widths.Axis) -> widths.Axis:
        return self.axis

    def order(self, width: widths.AnyWidth, after: widths.Width | None = None) -> Int[np.ndarray, " C"]:
        """Where each channel of the result stands in the input at a width; of the channels born `after` a narrower one alone,
        if given."""
        old = 0 if after is None else self.axis.active(after)
        run, place = np.divmod(np.arange(old, self.axis.active(width)), self.groups)
        return run * self.groups + (place - run) % self.groups - old

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        return Ordinary("concat", settings={"order": self.order(width).tolist()})
