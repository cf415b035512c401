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
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# Moments of a grid: products of births stay within 64 bits.
MOST_BIRTHS = 1 << 16


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """A width that is data: one program serves every α.

    Nothing can be cut out of a program by a number that the program learns when it runs. So each layer computes the channels
    that are active at a static `bound`, and whatever adds up channels takes those that are not born at α as zero.

    Attributes:
        alpha: α in (0, bound], a traced number.
        bound: in (0, 1], static.
    """

    alpha: Float[Array, ""]
    bound: float | int | Fraction = 1

    def __str__(self) -> str:
        return f"a drawn one up to {self.bound}"


T = TypeVar("T")
Width = float | int | Fraction
AnyWidth = Width | Drawn


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

    Channel c takes part at width α if it is born before α, or at 0. Make one with `Axis.of`, `Axis.whole`,
    `Axis.counted`, `expand` or `without`.

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
    def of(cls, channels: "int | Axis", group: int = 1, core: Width = 0, grid: int | None = None) -> "Axis":
        """An axis whose active channels at width α are the nearest whole number of groups to α of them, ties down.

        With `group=1`, channel c is born at (2c + 1) / (2 · channels) and channel 0 at 0, so that
        `active(α) = max(1, ceil(α · channels − ½))`. A larger group is born all at once, at its middle: groups of 8 or 16
        fit the hardware; groups of channels / 4 make a network of four widths. An Axis is returned as it is.

        With a `grid`, channels are born at `grid` common moments 0, 1/grid, 2/grid, …, the same ones for every axis of a
        network: each birth is moved down to the moment before it. At the widths 1/grid, 2/grid, …, 1 an axis has as many
        channels as without a grid, and a network of any depth has at most `grid` sub-networks.

        Where no width below some α is ever wanted, the channels active there need not be born one after the other: with that
        `core` they are all born at 0, and read each other. No width has more or fewer channels for it.

        Args:
            channels: how many, at least 1.
            group: channels born together, at least 1. The last group may be smaller.
            core: α in (0, 1] of the narrowest network, or 0.
            grid: number of moments at which channels are born, at least 1; None for as many as there are channels.

        Raises:
            ValueError: if `channels`, `group` or `grid` is below 1, `grid` above `MOST_BIRTHS`, or `core` outside [0, 1].
        """
        if isinstance(channels, Axis):
            return channels
        if grid is not None and not 1 <= grid <= MOST_BIRTHS:
            raise ValueError(f"grid must be from 1 to {MOST_BIRTHS}, or None, got {grid}")
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        if group < 1:
            raise ValueError(f"group must be at least 1, got {group}")
        starts = [c - c % group for c in range(channels)]
        births = [start + min(start + group, channels) if start else 0 for start in starts]
        denominator = 2 * channels
        if grid is not None:
            births, denominator = [birth * grid // denominator for birth in births], grid
        first = exact_width(core, "core") * denominator if core else 0
        return cls(tuple(birth if birth >= first else 0 for birth in births), denominator)

    @classmethod
    def whole(cls, channels: int) -> "Axis":
        """An axis that is all there at every width: the planes of the input image, the class logits."""
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        return cls((0,) * channels, 1)

    @classmethod
    def counted(cls, counts: "Sequence[int] | Int[np.ndarray, ' N']") -> "Axis":
        """An axis that has `counts[k − 1]` channels at each width k/N, of N counts; in between, as many as at the next larger.

        So a network has the channels that its publication gives it, by whatever rule it rounds them.

        Args:
            counts: in no case below 1; where one is smaller than an earlier one, the earlier one counts.

        Raises:
            ValueError: if one is below 1, or there is none.

        Example:
            >>> [Axis.counted([8, 8, 16, 24]).active(width) for width in (0.25, 0.5, 0.6, 1)]
            [8, 8, 16, 24]
        """
        if not len(counts) or min(counts) < 1:
            raise ValueError(f"counts must be at least 1 and not none, got {tuple(counts)}")
        grown = np.maximum.accumulate(np.asarray(counts, np.int64))
        births = grown.searchsorted(np.arange(grown[-1]), side="right")
        return cls(tuple(births.tolist()), len(counts))

    def without(self, other: "Axis", least: int = 1) -> "Axis":
        """The axis that a concatenation with another one lacks in order to have these channels: see `merged`.

        The concatenation has as many channels at full width, and no more at any other, but for `least`. It has fewer where the
        other one grows faster than this one.

        Args:
            other: of fewer channels.
            least: how many channels it has at any width.

        Raises:
            ValueError: if `other` does not leave so many channels.
        """
        if other.channels + least > self.channels:
            raise ValueError(f"other must leave at least {least} of {self.channels} channels, got {other.channels}")
        denominator = math.lcm(self.denominator, other.denominator)
        ours, theirs = (np.asarray(a.births, np.int64) * (denominator // a.denominator) for a in (self, other))
        moments = np.union1d(ours, theirs)
        lacking = ours.searchsorted(moments, side="right") - theirs.searchsorted(moments, side="right")
        counts = np.maximum(np.minimum.accumulate(lacking[::-1])[::-1], least)
        births = moments[counts.searchsorted(np.arange(counts[-1]), side="right")]
        return Axis(tuple(births.tolist()), denominator)

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

    @property
    def is_whole(self) -> bool:
        """Whether all channels are there at every width."""
        return self.births[-1] == 0

    def birth(self, channel: int) -> Fraction:
        return Fraction(self.births[channel], self.denominator)

    def active(self, width: AnyWidth) -> int:
        """How many channels take part at a width: the length of the prefix to slice. At a width that is data, those of its
        bound."""
        if isinstance(width, Drawn):
            width = width.bound
        return bisect.bisect_left(self.births, exact_width(width) * self.denominator)

    def active_at(self, at: Sequence[Width]) -> Int[np.ndarray, " N"]:
        """`active` at N widths."""
        # A birth below α·D is one below its ceiling, since births are whole.
        bounds = [-(-exact_width(width) * self.denominator // 1) for width in at]
        return np.searchsorted(np.asarray(self.births), np.asarray(bounds, np.int64))

    def born(self, width: Drawn) -> Bool[Array, " C"]:
        """Which channels, of those active at its bound, take part at a width that is data."""
        births = jnp.asarray(self.births[: self.active(width)], width.alpha.dtype)
        return births < width.alpha * self.denominator

    def kept(self, x: Float[Array, "... C"], width: AnyWidth) -> Float[Array, "... C"]:
        """The channels that take part at a width, zero in place of the others where the width is data; otherwise `x` itself,
        which has no others."""
        if not isinstance(width, Drawn):
            return x
        return jnp.where(self.born(width).reshape((1,) * (x.ndim - 1) + (-1,)), x, 0)


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


def merged(axes: Sequence[Axis]) -> tuple[Axis, Int[np.ndarray, " C"]]:
    """The axis of several axes' channels, sorted by birth, so that those that are active at a width come first.

    Args:
        axes: in the order in which their channels are concatenated. Of channels born together, earlier ones come first.

    Returns:
        The axis, and for each of its channels, its position in the concatenation.
    """
    denominator = math.lcm(*(axis.denominator for axis in axes))
    births = np.concatenate([np.asarray(axis.births) * (denominator // axis.denominator) for axis in axes])
    order = np.argsort(births, kind="stable")
    return Axis(tuple(int(birth) for birth in births[order]), denominator), order


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


def last_of(axes: Iterable[Axis], at: Sequence[Width]) -> tuple[Fraction, ...]:
    """For each width, the largest one that gives the same sub-network.

    Args:
        axes: those of all layers of the network.
        at: widths.
    """
    births = cuts(axes, min(map(exact_width, at)))
    found = (bisect.bisect_left(births, exact_width(width)) for width in at)
    return tuple(births[i] if i < len(births) else Fraction(1) for i in found)


def spread(values: Sequence[T], most: int) -> list[T]:
    """At most so many members of a sequence, evenly spaced in it, the first and the last among them.

    Args:
        values: in any order, which is kept.
        most: at least 2.

    Example:
        >>> spread(range(10, 17), 3)
        [10, 13, 16]
    """
    if len(values) <= most:
        return list(values)
    return [values[i] for i in np.linspace(0, len(values) - 1, most).round().astype(int)]
