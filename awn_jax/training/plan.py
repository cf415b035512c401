"""Which widths a training step learns from, and with what weight."""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from awn_jax import widths


@dataclasses.dataclass(frozen=True)
class WidthPlan:
    """The widths of a step. All that could be drawn are known when the step is compiled, so no draw compiles anew.

    Attributes:
        widths: ascending; every width that a step may learn from, one for each sub-network.
        draws: None: every step learns from all of `widths`. A number: from the narrowest, the widest, and so many drawn
            uniformly from [narrowest, 1].
        edges: where, on the way from the narrowest width to 1, one sub-network gives way to the next; needed for draws.
        total: what the weights of a step's cross-entropies add up to; None weighs each by 1, the paper's plain sum.
    """

    widths: tuple[float, ...]
    draws: int | None = None
    edges: tuple[Fraction, ...] = ()
    total: float | None = None

    @property
    def passes(self) -> int:
        """How many widths a step learns from, repeated ones counted."""
        return len(self.widths) if self.draws is None else 2 + self.draws

    @property
    def weight(self) -> float:
        """Of each of a step's cross-entropies."""
        return 1.0 if self.total is None else self.total / self.passes

    def drawn(self, key: PRNGKeyArray) -> Int[Array, " draws"]:
        """Positions in `widths` of the drawn sub-networks, one uniform width each."""
        low = self.widths[0]
        samples = jax.random.uniform(key, (self.draws or 0,), minval=low, maxval=1.0)
        return jnp.searchsorted(jnp.array([float(edge) for edge in self.edges]), samples)

    def weights(self, key: PRNGKeyArray) -> Float[Array, " N"]:
        """The weight of each of `widths` in one step."""
        count = len(self.widths)
        if self.draws is None:
            return jnp.full(count, self.weight)
        ends = jnp.zeros(count).at[jnp.array([0, count - 1])].add(self.weight)
        return ends.at[self.drawn(key)].add(self.weight)


def fixed(at: Sequence[widths.Width], *, total: float | None = None) -> WidthPlan:
    """The same widths in every step.

    Raises:
        ValueError: if a width is outside (0, 1], one is listed twice, or there is none.
    """
    exact = sorted(widths.exact_width(width, "fixed width") for width in at)
    if not exact or len(set(exact)) < len(exact):
        raise ValueError(f"fixed widths must be different and not none, got {tuple(at)}")
    return WidthPlan(tuple(float(width) for width in exact), total=total)


def every(axes: Sequence[widths.Axis], minimum: widths.Width, *, total: float | None = None) -> WidthPlan:
    """Every distinct sub-network in [minimum, 1] in every step."""
    return WidthPlan(widths.distinct_widths(axes, minimum), total=total)


def random(axes: Sequence[widths.Axis], minimum: widths.Width, passes: int, *, total: float | None = None) -> WidthPlan:
    """The narrowest width, the widest and `passes − 2` uniform draws in every step.

    Raises:
        ValueError: if `passes` is below 2.

    Source: the random sampling of Any-Width Networks; the sandwich rule of US-Net (Yu & Huang, 2019).
    """
    if passes < 2:
        raise ValueError(f"passes must be at least 2, the narrowest and the widest, got {passes}")
    at = widths.distinct_widths(axes, minimum)
    return WidthPlan(at, passes - 2, widths.cuts(axes, minimum), total)
