"""How far one curve lies above another at equal width, operations or parameters."""

from typing import NamedTuple

import numpy as np


class Gap(NamedTuple):
    """One curve less another, where both exist.

    Attributes:
        least, mean, most: of the difference.
        begin, end: of the range that both cover.
    """

    least: float
    mean: float
    most: float
    begin: float
    end: float


def gap(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> Gap:
    """The difference of two curves, straight between their points, over the range that both cover.

    Args:
        one: ascending places, and the value at each.
        other: likewise; what is taken off.

    Raises:
        ValueError: if the curves have no range in common.
    """
    begin, end = (float(pick(a, b)) for pick, a, b in ((max, one[0][0], other[0][0]), (min, one[0][-1], other[0][-1])))
    if begin >= end:
        raise ValueError(f"curves must overlap, got {one[0][0]} to {one[0][-1]} and {other[0][0]} to {other[0][-1]}")
    # The difference of two such curves is straight between the points of either: they hold its extremes.
    places = np.unique(np.clip(np.concatenate([one[0], other[0]]), begin, end))
    difference = np.interp(places, *one) - np.interp(places, *other)
    mean = np.trapezoid(difference, places) / (end - begin)
    return Gap(float(difference.min()), float(mean), float(difference.max()), begin, end)
