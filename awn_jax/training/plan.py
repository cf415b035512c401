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
        base: the weight that the loss of each has in every step; 0 where only a draw gives it one.
        draws: how many more are drawn in each step, uniformly from [narrowest, 1].
        draw_weight: of the loss of each that is drawn.
        edges: where, on the way from the narrowest width to 1, one sub-network gives way to the next; needed for draws.
        distillation: share of the loss of every width but the widest that is taken with the widest's soft predictions.
    """

    widths: tuple[float, ...]
    base: tuple[float, ...]
    draws: int = 0
    draw_weight: float = 0.0
    edges: tuple[Fraction, ...] = ()
    distillation: float = 0.0

    @property
    def passes(self) -> int:
        """How many widths a step learns from, repeated ones counted."""
        return sum(weight > 0 for weight in self.base) + self.draws

    def drawn(self, key: PRNGKeyArray) -> Int[Array, " draws"]:
        """Positions in `widths` of the drawn sub-networks, one uniform width each."""
        samples = jax.random.uniform(key, (self.draws,), minval=self.widths[0], maxval=1.0)
        return jnp.searchsorted(jnp.array([float(edge) for edge in self.edges]), samples)

    def weights(self, key: PRNGKeyArray) -> Float[Array, " N"]:
        """The weight of each of `widths` in one step."""
        base = jnp.array(self.base)
        return base.at[self.drawn(key)].add(self.draw_weight) if self.draws else base


def fixed(
    at: Sequence[widths.Width], *, total: float | None = None, ends: float = 0.0, distillation: float = 0.0
) -> WidthPlan:
    """The same widths in every step.

    Args:
        at: the widths, in any order.
        total: what the weights add up to; None gives each weight 1, the paper's plain sum.
        ends: share of the total that goes to each of the narrowest and the widest width, before the rest is spread evenly
            over all.
        distillation: see `WidthPlan`.

    Raises:
        ValueError: if a width is outside (0, 1], one is listed twice, or there is none.
    """
    exact = sorted(widths.exact_width(width, "fixed width") for width in at)
    if not exact or len(set(exact)) < len(exact):
        raise ValueError(f"fixed widths must be different and not none, got {tuple(at)}")
    count = len(exact)
    total = count if total is None else total
    base = [total * (1 - 2 * ends) / count] * count
    for end in (0, -1):
        base[end] += total * ends
    return WidthPlan(tuple(float(width) for width in exact), tuple(base), distillation=distillation)


def every(
    axes: Sequence[widths.Axis],
    minimum: widths.Width,
    *,
    total: float | None = None,
    ends: float = 0.0,
    distillation: float = 0.0,
) -> WidthPlan:
    """Every distinct sub-network in [minimum, 1] in every step; see `fixed`."""
    return fixed(widths.distinct_widths(axes, minimum), total=total, ends=ends, distillation=distillation)


def random(
    axes: Sequence[widths.Axis],
    minimum: widths.Width,
    passes: int,
    *,
    total: float | None = None,
    distillation: float = 0.0,
) -> WidthPlan:
    """The narrowest width, the widest and `passes − 2` uniform draws in every step, all with the same weight.

    Raises:
        ValueError: if `passes` is below 2, or there is only one sub-network.

    Source: the random sampling of Any-Width Networks; the sandwich rule of US-Net (Yu & Huang, 2019).
    """
    if passes < 2:
        raise ValueError(f"passes must be at least 2, the narrowest and the widest, got {passes}")
    at = widths.distinct_widths(axes, minimum)
    if len(at) < 2:
        raise ValueError(f"minimum must leave two sub-networks to draw from, got {minimum}: there is only full width")
    weight = 1.0 if total is None else total / passes
    base = (weight, *(0.0,) * (len(at) - 2), weight)
    return WidthPlan(at, base, passes - 2, weight, widths.cuts(axes, minimum), distillation)
