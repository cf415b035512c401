"""What stopping early costs and saves: the task's metric against multiply-accumulates over an image set.

Dimensions: N widths of a ladder.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from awn_jax import files
from awn_jax.tasks import Metric, Task

# Never sure comes last: everything goes to the widest.
CONFIDENCES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)


@dataclasses.dataclass(frozen=True)
class Point:
    """One way to answer.

    Attributes:
        name: the width, or the confidence at which an image is done.
        value: of the task's first metric.
        macs: mean multiply-accumulates for one image.
    """

    name: float
    value: float
    macs: float


def static_curve(
    outputs: Float[np.ndarray, "N images ..."],
    targets: Any,
    ladder: Sequence[float],
    macs: Sequence[int] | Int[np.ndarray, " N"],
    task: Task,
) -> tuple[Point, ...]:
    """Every image at one width, for each width of a ladder.

    Args:
        outputs: at the N widths.
        targets: of the images.
        ladder: the N widths.
        macs: of each.
        task: what the outputs are for, as it is at the N widths, see `Task.at`.
    """
    values = task.quality(outputs, targets).mean(-1)
    return tuple(Point(*map(float, point)) for point in zip(ladder, values, macs, strict=True))


def confidence_curve(
    outputs: Float[np.ndarray, "N images ..."],
    targets: Any,
    macs: Sequence[int] | Int[np.ndarray, " N"],
    task: Task,
    confidences: Sequence[float] = CONFIDENCES,
) -> tuple[Point, ...]:
    """Each image at the first width of a ladder at which it is sure, as `Predictor.predict` does; for each confidence.

    Args:
        outputs: at the N widths of the ladder.
        targets: of the images.
        macs: of a direct run at each width, which is also what climbing up to it costs.
        task: what the outputs are for, likewise.
        confidences: to draw.
    """
    sure, quality, cost = task.confidence(outputs), task.quality(outputs, targets), np.asarray(macs)
    images = np.arange(outputs.shape[1])
    points = []
    for confidence in confidences:
        done = sure >= confidence
        # The widest is always done.
        done[-1] = True
        rung = done.argmax(0)
        points.append(Point(float(confidence), float(quality[rung, images].mean()), float(cost[rung].mean())))
    return tuple(points)


def plot(static: Sequence[Point], confident: Sequence[Point], metric: Metric, path: pathlib.Path) -> None:
    """Draws both curves.

    Args:
        static: see `static_curve`.
        confident: see `confidence_curve`.
        metric: how the values are shown.
        path: of the picture.
    """
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for points, label, style in (
        (static, "every image at one width", "s-"),
        (confident, "each image until it is sure", ".-"),
    ):
        at = sorted(points, key=lambda point: point.macs)
        axes.plot([point.macs / 1e6 for point in at], [metric.scale * point.value for point in at], style, label=label)
    axes.set(xlabel="mean million multiply-accumulates for one image", ylabel=metric.title)
    axes.grid(alpha=0.3)
    axes.legend()
    files.write_figure(figure, path)
