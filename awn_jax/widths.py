"""Width arithmetic: when each channel is born, and what follows from it.

An axis is a list of channels in the order in which they are born. A network runs at a width α in (0, 1]; a channel
takes part from its birth on. A weight from input t to output s exists only if t is born no later than s. Masks, static
slices, counts of multiply-accumulates, the nested head and the list of distinct sub-networks all derive from the births.

Births are exact: integers over a common denominator. They are never compared as floats, because 1/2 + rounding would put
a channel on the wrong side of a width.

Source: Any-Width Networks (Vu et al., 2020), for triangular convolutions over square layers; the births extend
them to rectangular, grouped and expanded axes.
"""

import bisect
import dataclasses
import functools
import itertools
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
from jaxtyping import Bool

Width = float | int | Fraction


def exact_width(width: Width, name: str = "width") -> Fraction:
    """The width as an exact fraction; a float means the decimal number that it prints as (0.55 is 11/20).

    Args:
        width: α, in (0, 1].
        name: what to call it in an error.

    Raises:
        ValueError: if the width is not a number in (0, 1].
    """
    try:
        fraction = _printed(width) if isinstance(width, float) else _fraction(width)
    except ValueError:
        raise ValueError(f"{name} must be a number in (0, 1], got {width!r}") from None
    if not 0 < fraction <= 1:
        raise ValueError(f"{name} must be in (0, 1], got {width}")
    return fraction


def _fraction(width: Width) -> Fraction:
    return Fraction(width) if isinstance(width, int | Fraction) else Fraction(str(width))


# An anytime step asks for two of them, and reading a number's digits takes longer than starting a program.
_printed = functools.lru_cache(_fraction)


@dataclasses.dataclass(frozen=True)
class Axis:
    """The channels of one tensor axis, each with its birth `births[c] / denominator`.

    Channel c takes part at width α if it is born before α, or at 0. Make one with `Axis.of`, `Axis.whole` or `expand`.

    Attributes:
        births: numerators, non-decreasing, in [0, denominator).
        denominator: what they are over.
    """

    births: tuple[int, ...]
    denominator: int

    def __post_init__(self):
        if not self.births:
            raise ValueError("an axis must have at least one channel, got births=()")
        if self.births[0] != 0:
            raise ValueError(f"the first channel must be born at 0, got births[0]={self.births[0]}")
        if any(a > b for a, b in zip(self.births, self.births[1:], strict=False)):
            raise ValueError(f"births must not decrease, got {self.births}")
        if self.births[-1] >= self.denominator:
            raise ValueError(f"births must be below denominator={self.denominator}, got {self.births[-1]}")

    @classmethod
    def of(cls, channels: "int | Axis", group: int = 1, core: Width = 0) -> "Axis":
        """An axis whose active channels at width α are the nearest whole number of groups to α of them, ties down.

        With `group=1`, channel c is born at (2c + 1) / (2 · channels) and channel 0 at 0, so that
        `active(α) = max(1, ceil(α · channels − ½))`. A larger group is born all at once, at its middle: groups of 8 or 16
        fit the hardware; groups of channels / 4 make a network of four widths. An Axis is returned as it is.

        Where no width below some α is ever wanted, the channels active there need not be born one after the other: with that
        `core` they are all born at 0, and read each other. No width has more or fewer channels for it.

        Args:
            channels: how many, at least 1.
            group: channels born together, at least 1. The last group may be smaller.
            core: α in (0, 1] of the narrowest network, or 0.

        Raises:
            ValueError: if `channels` or `group` is below 1, or `core` is outside [0, 1].
        """
        if isinstance(channels, Axis):
            return channels
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        if group < 1:
            raise ValueError(f"group must be at least 1, got {group}")
        starts = [c - c % group for c in range(channels)]
        births = [start + min(start + group, channels) if start else 0 for start in starts]
        first = exact_width(core, "core") * 2 * channels if core else 0
        return cls(tuple(birth if birth >= first else 0 for birth in births), 2 * channels)

    @classmethod
    def whole(cls, channels: int) -> "Axis":
        """An axis that is all there at every width: the planes of the input image, the class logits."""
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        return cls((0,) * channels, 1)

    def expand(self, factor: int) -> "Axis":
        """An axis of `factor` times the channels, channel h born with this axis' channel h // factor.

        Source: the inverted residuals of MobileNetV2, whose hidden channels belong to the channels that they expand.
        """
        if factor < 1:
            raise ValueError(f"factor must be at least 1, got {factor}")
        return Axis(tuple(b for b in self.births for _ in range(factor)), self.denominator)

    def prefix(self, width: Width) -> "Axis":
        """The axis of the channels that are active at a width, with the births that they have here."""
        return Axis(self.births[: self.active(width)], self.denominator)

    @property
    def channels(self) -> int:
        return len(self.births)

    def birth(self, channel: int) -> Fraction:
        return Fraction(self.births[channel], self.denominator)

    def active(self, width: Width) -> int:
        """How many channels take part at a width: the length of the prefix to slice."""
        return bisect.bisect_left(self.births, exact_width(width) * self.denominator)


@functools.cache
def visible_inputs(inputs: Axis, outputs: Axis) -> tuple[int, ...]:
    """For each output channel, how many leading input channels it may read: those born no later than itself.

    Returns:
        A non-decreasing tuple with one integer in [1, inputs.channels] for each channel of `outputs`.
    """
    read = (np.asarray(inputs.births, np.int64) * outputs.denominator).searchsorted(
        np.asarray(outputs.births, np.int64) * inputs.denominator, side="right"
    )
    return tuple(int(n) for n in read)


def mask(inputs: Axis, outputs: Axis) -> Bool[np.ndarray, "C K"]:
    """True where a weight from an input (row) to an output (column) exists."""
    return np.arange(inputs.channels)[:, None] < np.asarray(visible_inputs(inputs, outputs))


def cuts(axes: Iterable[Axis], minimum: Width = Fraction(1, 4)) -> tuple[Fraction, ...]:
    """The births in [minimum, 1), ascending: where, going wider, one distinct sub-network gives way to the next.

    A width belongs to sub-network number i, of those in `distinct_widths`, where i is the number of cuts below it.

    Args:
        axes: those of all layers of the network.
        minimum: α_min, the narrowest width of interest.

    Raises:
        ValueError: if `minimum` is not in (0, 1].
    """
    low = exact_width(minimum, "minimum")
    births = {Fraction(b, axis.denominator) for axis in axes for b in set(axis.births)}
    return tuple(sorted(b for b in births if b >= low))


def distinct_widths(axes: Iterable[Axis], minimum: Width = Fraction(1, 4)) -> tuple[float, ...]:
    """One width for each distinct sub-network in [minimum, 1], ascending.

    Each is named by the middle of the widths that give it, except that the first is `minimum` and the last is 1. For a
    network of 45-channel axes these are 0.25, 12/45, …, 44/45, 1. Arguments and errors are those of `cuts`.
    """
    edges = cuts(axes, minimum)
    middles = [float((a + b) / 2) for a, b in itertools.pairwise(edges)]
    return (float(minimum), *middles, 1.0) if edges else (1.0,)
