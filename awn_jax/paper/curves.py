"""Curves of several seeds, and how far one method's lie above another's.

Dimensions: S seeds, M places.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from awn_jax.evaluation import report
from awn_jax.paper.records import Record


class Curves(NamedTuple):
    """One method's curves, straight between their points.

    Attributes:
        places: ascending widths, or costs.
        values: of each seed, in the unit that the metric is shown in.
    """

    places: Float[np.ndarray, " M"]
    values: Float[np.ndarray, "S M"]

    @property
    def mean(self) -> Float[np.ndarray, " M"]:
        """Over the seeds."""
        return self.values.mean(0)

    def at(self, places: Float[np.ndarray, " K"]) -> Float[np.ndarray, "S K"]:
        """The values of each seed at other places."""
        return np.stack([np.interp(places, self.places, values) for values in self.values])

    def area(self, begin: float, end: float) -> Float[np.ndarray, " S"]:
        """The mean height of each seed's curve from one place to another, by trapezoids."""
        inner = self.places[(begin < self.places) & (self.places < end)]
        places = np.array([begin, *inner, end])
        return np.trapezoid(self.at(places), places) / (end - begin)


def curves(records: Sequence[Record], view: str, quantity: Literal["width", "macs", "params"]) -> Curves:
    """The curves of one method's records.

    Args:
        records: one for each seed.
        view: of `Record.curves`.
        quantity: what the metric is held against.
    """
    found = [record.curves[view] for record in records]
    scale = report.shown(found[0])[found[0].metric].scale
    places = np.array([getattr(row, quantity) for row in found[0].rows], float)
    return Curves(places, scale * np.array([curve.values for curve in found]))


def standard_error(
    ours: Float[np.ndarray, "S ..."], theirs: Float[np.ndarray, "R ..."]
) -> Float[np.ndarray, "..."] | None:
    """The standard error of the difference of two means; None where one of them has a single value.

    Source: Welch (1947), "The generalization of Student's problem when several different population variances are involved".
    """
    if min(len(ours), len(theirs)) < 2:
        return None
    return np.asarray(np.sqrt(ours.var(0, ddof=1) / len(ours) + theirs.var(0, ddof=1) / len(theirs)))


class Gap(NamedTuple):
    """One method's mean curve less another's, where both exist.

    Attributes:
        least, mean, most: of the difference.
        begin, end: of the range that both cover.
        error: standard error of the mean difference; None where a method has one seed.
        verdict: `above` or `below` if the mean difference exceeds its standard error, `level` if not, with `everywhere` if the
            difference exceeds its own standard error at each place; empty where a method has one seed.
    """

    least: float
    mean: float
    most: float
    begin: float
    end: float
    error: float | None = None
    verdict: str = ""


def gap(ours: Curves, theirs: Curves) -> Gap:
    """The difference of two methods' mean curves over the range that both cover.

    Args:
        ours: curves.
        theirs: what is taken off.

    Raises:
        ValueError: if the curves have no range in common.
    """
    begin = float(max(ours.places[0], theirs.places[0]))
    end = float(min(ours.places[-1], theirs.places[-1]))
    if begin >= end:
        raise ValueError(
            f"curves must overlap, got {ours.places[0]} to {ours.places[-1]} and {theirs.places[0]} to {theirs.places[-1]}"
        )
    # The difference of two such curves is straight between the points of either: they hold its extremes.
    places = np.unique(np.clip(np.concatenate([ours.places, theirs.places]), begin, end))
    one, other = ours.at(places), theirs.at(places)
    difference = one.mean(0) - other.mean(0)
    areas = ours.area(begin, end), theirs.area(begin, end)
    mean = float(areas[0].mean() - areas[1].mean())
    found = Gap(float(difference.min()), mean, float(difference.max()), begin, end)
    error, errors = standard_error(*areas), standard_error(one, other)
    if error is None or errors is None:
        return found
    return found._replace(error=float(error), verdict=_verdict(mean, float(error), difference, errors))


def _verdict(mean: float, error: float, difference: Float[np.ndarray, " M"], errors: Float[np.ndarray, " M"]) -> str:
    if abs(mean) <= error:
        return "level"
    sign = math.copysign(1, mean)
    return ("above" if sign > 0 else "below") + (" everywhere" if (sign * difference > errors).all() else "")
