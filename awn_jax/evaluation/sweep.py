"""The width–accuracy curve: every width from one full-width pass over the images.

Dimensions: B batch, N widths.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Num

from awn_jax import inspection, platform
from awn_jax import widths as width_arithmetic
from awn_jax.data import ImageSet, Preparation, once_through, replicate
from awn_jax.models import AnyWidthClassifier, axes, distinct_widths

Scores = tuple[Float[Array, " N"], Float[Array, " N"]]


@dataclasses.dataclass(frozen=True)
class Row:
    """One sub-network.

    Attributes:
        width: α.
        params, macs: see `inspection.Cost`.
        top1: share of the images whose largest logit is the label's.
        loss: mean cross-entropy.
    """

    width: float
    params: int
    macs: int
    top1: float
    loss: float


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The curve of one network.

    Attributes:
        rows: ascending widths.
        edges: widths at which one row's sub-network gives way to the next one's; one fewer.
        alpha_min: the narrowest.
        auc: area under the top-1 accuracy, see `area_under_curve`.
        mean10: mean top-1 accuracy over ten evenly spaced widths, as the paper's code prints.
    """

    rows: tuple[Row, ...]
    edges: tuple[float, ...]
    alpha_min: float
    auc: float
    mean10: float

    def at(self, width: float) -> Row:
        """The row of the sub-network that a width gives."""
        return self.rows[bisect.bisect_left(self.edges, width)]


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


def make_scorer(
    model: AnyWidthClassifier, at: Sequence[float], preparation: Preparation
) -> Callable[[Any, Num[Array, "B H W P"], Int[Array, " B"], Bool[Array, " B"]], Scores]:
    """Compiles the function that scores a batch at all widths.

    Args:
        model: in inference mode.
        at: ascending widths.
        preparation: of the images.

    Returns:
        `(state, images, labels, counted) -> (correct, loss)`, sums over the images that count, for each width.
    """
    graphdef = nnx.split(model)[0]

    def score(state: Any, images: Array, labels: Array, counted: Array) -> Scores:
        model = nnx.merge(graphdef, state)
        x = preparation.normalised(images)
        logits = model.logits_at(x, at)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.broadcast_to(labels, logits.shape[:-1]))
        correct = (logits.argmax(-1) == labels) & counted
        return correct.sum(-1).astype(jnp.float32), jnp.where(counted, losses, 0).sum(-1)

    return jax.jit(score, compiler_options=platform.compiler_options())


def sweep(
    model: AnyWidthClassifier,
    data: ImageSet,
    preparation: Preparation,
    mesh: Mesh,
    *,
    minimum: float = 0.25,
    at: Sequence[float] | None = None,
    batch_size: int = 1000,
    progress: bool = True,
) -> Sweep:
    """Scores a network at every distinct sub-network in [minimum, 1], in one full-width pass for each batch.

    Args:
        model: any-width classifier; it is put into inference mode.
        data: images to score.
        preparation: normalisation.
        mesh: devices; each batch is split over them.
        minimum: α_min.
        at: ascending widths to score instead of all; the area is then taken over their range.
        batch_size: rounded up to a multiple of the devices.
        progress: show a bar on a terminal.

    Raises:
        ValueError: if a width is outside (0, 1], or `at` is not ascending.
    """
    model.eval()
    names = tuple(at) if at is not None else distinct_widths(model, minimum)
    scorer = make_scorer(model, names, preparation)
    state = replicate(nnx.split(model)[1], mesh)
    batches = once_through(data, mesh, batch_size)
    bar = {"desc": "sweep", "leave": False, "disable": None if progress else True}
    totals = [scorer(state, *batch) for batch in tqdm.tqdm(batches, total=-(-len(data) // batch_size), **bar)]
    correct, loss = (np.sum([np.asarray(total[i], np.float64) for total in totals], 0) / len(data) for i in (0, 1))
    costs = [inspection.cost(model, data.images.shape[1:], width) for width in names]
    rows = tuple(Row(w, *c, float(t), float(n)) for w, c, t, n in zip(names, costs, correct, loss, strict=True))
    edges = _edges(model, names)
    top1 = [row.top1 for row in rows]
    return Sweep(
        rows, tuple(edges), float(names[0]), area_under_curve(names, top1), evenly_spaced_mean(names, top1, edges)
    )


def _edges(model: AnyWidthClassifier, at: Sequence[float]) -> list[float]:
    """Where one of the listed widths' sub-networks gives way to the next: the birth after each, or, between widths that
    skip sub-networks, the last birth before the next. Two widths of one sub-network part at the second."""
    births = width_arithmetic.cuts(axes(model), at[0])
    exact = [width_arithmetic.exact_width(width) for width in at]
    return [float(max((b for b in births if low <= b < high), default=low)) for low, high in itertools.pairwise(exact)]
