"""What stopping early costs and saves: accuracy against multiply-accumulates over an image set."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from awn_jax.anytime.predict import confidence_of

# Never sure comes last: everything goes to the widest.
CONFIDENCES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)


@dataclasses.dataclass(frozen=True)
class Point:
    """One way to answer.

    Attributes:
        name: the width, or the confidence at which an image is done.
        top1: share of right answers.
        macs: mean multiply-accumulates for one image.
    """

    name: float
    top1: float
    macs: float


def static_curve(
    logits: Float[np.ndarray, "N images classes"],
    labels: Int[np.ndarray, " images"],
    ladder: Sequence[float],
    macs: Sequence[int],
) -> tuple[Point, ...]:
    """Every image at one width, for each width of a ladder.

    Args:
        logits: at N widths.
        labels: of the images.
        ladder: the N widths.
        macs: of each.
    """
    top1 = (logits.argmax(-1) == labels).mean(-1)
    return tuple(Point(*point) for point in zip(ladder, map(float, top1), map(float, macs), strict=True))


def confidence_curve(
    logits: Float[np.ndarray, "N images classes"],
    labels: Int[np.ndarray, " images"],
    macs: Sequence[int],
    confidences: Sequence[float] = CONFIDENCES,
) -> tuple[Point, ...]:
    """Each image at the first width of a ladder at which it is sure, as `Predictor.predict` does; for each confidence.

    Args:
        logits: at the N widths of the ladder.
        labels: of the images.
        macs: of a direct run at each width, which is also what climbing up to it costs.
        confidences: to draw.
    """
    sure, right, cost = confidence_of(logits), logits.argmax(-1) == labels, np.asarray(macs)
    images = np.arange(len(labels))
    points = []
    for confidence in confidences:
        done = sure >= confidence
        # The widest is always done.
        done[-1] = True
        rung = done.argmax(0)
        points.append(Point(confidence, float(right[rung, images].mean()), float(cost[rung].mean())))
    return tuple(points)


def plot(static: Sequence[Point], confident: Sequence[Point], path) -> None:
    """Draws both curves."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for points, label, style in (
        (static, "every image at one width", "s-"),
        (confident, "each image until it is sure", ".-"),
    ):
        at = sorted(points, key=lambda point: point.macs)
        axes.plot([point.macs / 1e6 for point in at], [100 * point.top1 for point in at], style, label=label)
    axes.set(xlabel="mean million multiply-accumulates for one image", ylabel="top-1 accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
