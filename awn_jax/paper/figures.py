"""Pictures of records."""

import pathlib
from collections.abc import Sequence

import matplotlib
import matplotlib.figure
import numpy as np

from awn_jax.paper.experiments import CONTENDERS, SINGLES, TARGETS
from awn_jax.paper.moments import History
from awn_jax.paper.records import Record, mean_curve
from awn_jax.paper.tables import NAMES, Records, chosen, label

TRAINED = {"awn_full": 1, "awn_2": 2, "awn_fixed": 4, "awn_8": 8}


def curves(records: Records, dataset: str, path: pathlib.Path) -> None:
    """Figure 5: accuracy against width, one line for each method, the mean of its seeds."""
    figure, (axes,) = _figure(1, width=9.5)
    for method in CONTENDERS:
        found = chosen(records, dataset, method)
        for view in [v for v in ("test 4", "test") if found and v in found[0].curves]:
            x, y = mean_curve(found, view, "width")
            axes.plot(x, y, _style(method), label=f"{label(method, view)} ({100 * _auc(found, view):.2f})")
    axes.set(xlabel="width α", ylabel="top-1 accuracy, %", title=f"{dataset} (area under the curve, %)")
    _focus(axes)
    if axes.lines:
        figure.legend(fontsize="x-small", loc="outside right center")
    figure.savefig(path, dpi=150)


def against_macs(records: Records, dataset: str, path: pathlib.Path) -> None:
    """Accuracy against operations and against parameters, with ordinary networks trained for one width each."""
    figure, panels = _figure(2)
    for axes, quantity, unit, scale in zip(
        panels,
        ("macs", "params"),
        ("million multiply-accumulates an image", "thousand parameters"),
        (1e6, 1e3),
        strict=True,
    ):
        for method in [method for method in TARGETS["macs"].methods if method not in SINGLES]:
            if found := chosen(records, dataset, method):
                x, y = mean_curve(found, "test", quantity)
                axes.plot(x / scale, y, _style(method), label=label(method))
        singles = [found for method in SINGLES if (found := chosen(records, dataset, method))]
        if singles:
            points = [[values[0] for values in mean_curve(found, "test", quantity)] for found in singles]
            x, y = np.array(points).T
            axes.plot(x / scale, y, "k^", label="ordinary, one network for each")
        axes.set(xlabel=unit)
    panels[0].set(ylabel="top-1 accuracy, %", title=dataset)
    _focus(panels[0])
    _legend(panels[0])
    figure.savefig(path, dpi=150)


def trained_widths(records: Records, dataset: str, path: pathlib.Path) -> None:
    """Figure 4: the area under the curve against the number of widths trained."""
    figure, (axes,) = _figure(1)
    points = []
    for method in TARGETS["fig4"].methods:
        if found := chosen(records, dataset, method):
            count = TRAINED.get(method, len(found[0].curves["test"].rows))
            points.append((count, 100 * _auc(found, "test")))
    axes.plot(*zip(*points, strict=True), "o-")
    axes.set(xscale="log", xlabel="widths trained", ylabel="area under the curve, %", title=dataset)
    axes.set_xticks([count for count, _ in points], [str(count) for count, _ in points])
    figure.savefig(path, dpi=150)


def full_width_only(records: Records, dataset: str, path: pathlib.Path) -> None:
    """Figure 6: curves of networks trained at full width alone."""
    figure, (axes,) = _figure(1)
    for method in TARGETS["fig6"].methods:
        if found := chosen(records, dataset, method):
            axes.plot(
                *mean_curve(found, "test", "width"), ".-", label=f"{NAMES[method]} ({100 * _auc(found, 'test'):.2f})"
            )
    axes.set(xlabel="width α", ylabel="top-1 accuracy, %", title=f"{dataset}, trained at full width only")
    _legend(axes)
    figure.savefig(path, dpi=150)


def batch_statistics(histories: dict[str, History], dataset: str, path: pathlib.Path) -> None:
    """Figure 2: a layer's batch mean and variance at four widths while training, against the running ones."""
    figure = matplotlib.figure.Figure(figsize=(4 * len(histories), 6), layout="constrained")
    grid = np.reshape(figure.subplots(2, len(histories), sharex=True, squeeze=False), (2, -1))
    for column, (method, history) in enumerate(histories.items()):
        for row, name in enumerate(("mean", "var")):
            axes = grid[row, column]
            for color, (width, series) in enumerate(history.series.items()):
                axes.plot(history.steps, series[f"batch_{name}"], f"C{color}-", label=f"batch, α = {width:g}")
                axes.plot(history.steps, series[f"running_{name}"], f"C{color}--")
            axes.grid(alpha=0.3)
        grid[0, column].set(title=NAMES.get(method, method))
        grid[1, column].set(xlabel="step")
    grid[0, 0].set(ylabel="mean")
    grid[1, 0].set(ylabel="variance")
    _legend(grid[0, 0])
    figure.suptitle(
        f"{dataset}: input of the second batch norm, mean over the narrowest width's channels; dashed: running"
    )
    figure.savefig(path, dpi=150)


def _style(method: str) -> str:
    return ".-" if method.startswith("awn") else ".--"


def _figure(panels: int, *, width: float = 0):
    figure = matplotlib.figure.Figure(figsize=(width or 6 * panels, 4.2), layout="constrained")
    axes = np.ravel(figure.subplots(1, panels, sharey=True))
    for one in axes:
        one.grid(alpha=0.3)
        # More lines than the usual ten colours.
        one.set_prop_cycle(color=matplotlib.colormaps["tab20"](range(20)))
    return figure, axes


def _focus(axes) -> None:
    # A curve that falls far below the others leaves the picture, so that the others can be told apart.
    lowest = np.array([np.min(line.get_ydata()) for line in axes.lines])
    if len(lowest):
        usual, highest = np.median(lowest), max(np.max(line.get_ydata()) for line in axes.lines)
        if lowest.min() < 2 * usual - highest:
            axes.set_ylim(2 * usual - highest, highest + (highest - usual) / 8)


def _legend(axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="x-small")


def _auc(found: Sequence[Record], view: str) -> float:
    return float(np.mean([record.curves[view].auc for record in found]))
