"""Which widths a training step learns from, and with what weight.

Dimensions: N widths.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from awn_jax import widths

# The fewest and the most sizes that a drawn width's channels are cut to, where it has a pass of its own: more of them compute
# less that is thrown away, and take longer to compile. A deep network has fewer: about so many layers are compiled for a draw.
FEWEST, MOST, LAYERS = 2, 8, 64


@dataclasses.dataclass(frozen=True)
class WidthPlan:
    """The widths of a step.

    Attributes:
        widths: ascending; those that every step learns from.
        weights: of the loss of each.
        draws: how many more are drawn in each step, uniformly from [narrowest, 1]; they are data, not program.
        draw_weight: of the loss of each that is drawn.
        sizes: widths up to which programs for one drawn width are made, ascending to 1.
        distillation: share of the loss of every width but the widest that is taken with the widest's soft predictions.
    """

    widths: tuple[float, ...]
    weights: tuple[float, ...]
    draws: int = 0
    draw_weight: float = 0.0
    sizes: tuple[float, ...] = ()
    distillation: float = 0.0

    @property
    def passes(self) -> int:
        """How many widths a step learns from, repeated ones counted."""
        return len(self.widths) + self.draws

    def drawn(self, key: PRNGKeyArray) -> Float[Array, " draws"]:
        """The widths that a step draws."""
        return jax.random.uniform(key, (self.draws,), minval=self.widths[0], maxval=1.0)

    def size(self, alpha: Float[Array, "*n"]) -> Int[Array, "*n"]:
        """Position in `sizes` of the program for a drawn width."""
        return jnp.searchsorted(jnp.array(self.sizes), alpha)

    def all_weights(self) -> Float[np.ndarray, " N"]:
        """The weight of each width, those that are drawn last."""
        return np.array([*self.weights, *[self.draw_weight] * self.draws])


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
    weights = [total * (1 - 2 * ends) / count] * count
    for end in (0, -1):
        weights[end] += total * ends
    return WidthPlan(tuple(float(width) for width in exact), tuple(weights), distillation=distillation)


def every(
    axes: Sequence[widths.Axis],
    minimum: widths.Width,
    *,
    total: float | None = None,
    ends: float = 0.0,
    distillation: float = 0.0,
) -> WidthPlan:
    """Every distinct sub-network in [minimum, 1] in every step.

    Args:
        axes: those of all layers of the network.
        minimum: α_min.
        total: see `fixed`.
        ends: likewise.
        distillation: likewise.

    Raises:
        ValueError: if `minimum` is outside (0, 1].
    """
    return fixed(widths.distinct_widths(axes, minimum), total=total, ends=ends, distillation=distillation)


def random(
    axes: Sequence[widths.Axis],
    minimum: widths.Width,
    passes: int,
    *,
    layers: int = 1,
    total: float | None = None,
    distillation: float = 0.0,
) -> WidthPlan:
    """The narrowest width, the widest and `passes − 2` uniform draws in every step, all with the same weight.

    Args:
        axes: those of all layers of the network.
        minimum: α_min.
        passes: how many widths a step learns from.
        layers: how many the network has; the more, the fewer `sizes`.
        total: see `fixed`.
        distillation: likewise.

    Raises:
        ValueError: if `passes` is below 2, or there is only one sub-network.

    Source: the random sampling of Any-Width Networks; the sandwich rule of US-Net (Yu & Huang, 2019).
    """
    if passes < 2:
        raise ValueError(f"passes must be at least 2, the narrowest and the widest, got {passes}")
    if not widths.cuts(axes, minimum):
        raise ValueError(f"minimum must leave two sub-networks to draw from, got {minimum}: there is only full width")
    weight = 1.0 if total is None else total / passes
    low = float(minimum)
    count = min(MOST, max(FEWEST, LAYERS // layers))
    sizes = tuple(float(size) for size in np.linspace(low, 1, count + 1).round(9)[1:])
    return WidthPlan((low, 1.0), (weight, weight), passes - 2, weight, sizes, distillation)
