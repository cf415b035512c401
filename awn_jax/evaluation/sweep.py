"""The curve of a network's metrics over the width: every width from one full-width pass over the images.

Dimensions: B batch, N widths.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jax.sharding import Mesh

from awn_jax import bars
from awn_jax import widths as width_arithmetic
from awn_jax.data import Examples, Preparation, once_through, usual_batch
from awn_jax.errors import UserError
from awn_jax.evaluation.scorers import Scorer, scorer
from awn_jax.models import AnyWidthNetwork, axes, distinct_widths
from awn_jax.network import costs
from awn_jax.tasks import Classification, Task

# Of networks that are scored width by width.
MOST_WIDTHS = 64


class SweepError(UserError, ValueError):
    """A network's scores are not finite; the message says at which width."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One sub-network.

    Attributes:
        width: α.
        params, macs: see `network.Cost`.
        metrics: of the task, by name.
    """

    width: float
    params: int
    macs: int
    metrics: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The curve of one network.

    Attributes:
        rows: ascending widths.
        edges: widths at which one row's sub-network gives way to the next one's; one fewer.
        alpha_min: the narrowest.
        metric: the name of the metric that the curve is drawn of.
        auc: area under that metric, see `area_under_curve`.
        mean10: its mean over ten evenly spaced widths, as the paper's code prints.
    """

    rows: tuple[Row, ...]
    edges: tuple[float, ...]
    alpha_min: float
    metric: str
    auc: float
    mean10: float

    @property
    def values(self) -> list[float]:
        """The metric of each row."""
        return [row.metrics[self.metric] for row in self.rows]

    def row(self, width: float) -> Row:
        """The row of the sub-network that a width gives."""
        return self.rows[bisect.bisect_left(self.edges, width)]

    def value(self, width: float) -> float:
        """The metric of the sub-network that a width gives."""
        return self.row(width).metrics[self.metric]


def area_under_curve(widths: Sequence[float], values: Sequence[float]) -> float:
    """The mean height of a curve over [widths[0], widths[-1]], by trapezoids.

    Args:
        widths: ascending.
        values: one for each.

    Raises:
        ValueError: if they are not equally long, not ascending, or none.

    Source: Any-Width Networks: the integral of test accuracy over α, divided by 1 − α_min.
    """
    if len(widths) != len(values) or not len(widths) or np.any(np.diff(widths) <= 0):
        raise ValueError(f"widths must ascend and have one value each, got {tuple(widths)} and {tuple(values)}")
    if len(widths) == 1:
        return float(values[0])
    return float(np.trapezoid(values, widths) / (widths[-1] - widths[0]))


def evenly_spaced_mean(
    widths: Sequence[float], values: Sequence[float], edges: Sequence[float], count: int = 10
) -> float:
    """The mean of the values at `count` evenly spaced widths from the first to the last.

    Args:
        widths: ascending, one for each sub-network.
        values: one for each.
        edges: births between one sub-network and the next, one fewer.
        count: of evenly spaced widths.
    """
    at = np.linspace(widths[0], widths[-1], count)
    return float(np.asarray(values)[np.searchsorted(edges, at)].mean())


def sweep(
    model: AnyWidthNetwork,
    data: Examples,
    preparation: Preparation,
    mesh: Mesh,
    *,
    minimum: float = 0.25,
    at: Sequence[float] | None = None,
    batch_size: int | None = None,
    task: Task | None = None,
    progress: bool = True,
) -> Sweep:
    """Scores a network at every distinct sub-network in [minimum, 1], in one full-width pass for each batch.

    Outputs are held for so many widths at a time that they take at most `outputs.NUMBERS` numbers. A network whose narrow
    parts are not prefixes of the wide one has a pass for each width, and at most `MOST_WIDTHS` evenly spaced ones are scored.

    Args:
        model: it is put into inference mode.
        data: images to score.
        preparation: normalisation.
        mesh: devices; each batch is split over them.
        minimum: α_min.
        at: ascending widths to score instead of all; the area is then taken over their range.
        batch_size: at least 1; rounded up to a multiple of the devices; None for `data.usual_batch`.
        task: what the network is for; classification if None.
        progress: show a bar.

    Raises:
        ValueError: if a width is outside (0, 1], `at` is not ascending, `batch_size` below 1, or there are no images.
        SweepError: if a score is not finite.
    """
    task = Classification() if task is None else task
    batch_size = usual_batch(data.image_size) if batch_size is None else batch_size
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if not len(data):
        raise ValueError("data must hold at least one image, got none")
    model.eval()
    names = list(at) if at is not None else _all_widths(model, data, minimum)
    score = scorer(model, names, preparation, task, data.image_size, min(batch_size, len(data)), mesh)
    metrics = _scores(score, data, mesh, batch_size, progress)
    params, macs = costs(model, data.image_size, names)
    for name, values in metrics.items():
        if not np.isfinite(values).all():
            width = names[int(np.argmin(np.isfinite(values)))]
            raise SweepError(f"{name} is not finite at width {width:g}: are the weights, or the images, damaged?")
    rows = tuple(
        Row(float(width), int(p), int(m), {name: float(values[i]) for name, values in metrics.items()})
        for i, (width, p, m) in enumerate(zip(names, params, macs, strict=True))
    )
    curve = [row.metrics[task.metric] for row in rows]
    edges = _edges(model, names)
    area, mean10 = area_under_curve(names, curve), evenly_spaced_mean(names, curve, edges)
    return Sweep(rows, tuple(edges), float(names[0]), task.metric, area, mean10)


def _scores(score: Scorer, data: Examples, mesh: Mesh, batch_size: int, progress: bool) -> dict[str, np.ndarray]:
    batches = once_through(data, mesh, batch_size)
    bar = {"desc": f"sweep{score.chunks}", "leave": False, "total": -(-len(data) // batch_size)}
    for batch in bars.bar(batches, shown=progress, **bar):
        score.add(*batch)
    return score.finish()


def _all_widths(model: AnyWidthNetwork, data: Examples, minimum: float) -> list[float]:
    found = distinct_widths(model, minimum)
    return list(found) if model.nests(data.image_size) else width_arithmetic.spread(found, MOST_WIDTHS)


def _edges(model: AnyWidthNetwork, at: Sequence[float]) -> list[float]:
    """Where one of the listed widths' sub-networks gives way to the next: the birth after each, or, between widths that
    skip sub-networks, the last birth before the next. Two widths of one sub-network part at the second."""
    births = width_arithmetic.cuts(axes(model), at[0])
    exact = [width_arithmetic.exact_width(width) for width in at]
    return [float(_last_between(births, low, high)) for low, high in itertools.pairwise(exact)]


def _last_between(births: Sequence[Any], low: Any, high: Any) -> Any:
    """The last birth in [low, high); `low` if there is none."""
    before = bisect.bisect_left(births, high)
    return births[before - 1] if before and births[before - 1] >= low else low
