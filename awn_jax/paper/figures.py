"""Pictures of records."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib
import matplotlib.figure
import numpy as np

from awn_jax import files
from awn_jax.paper.cells import NAMES, chosen, label, metric_of
from awn_jax.paper.curves import curves
from awn_jax.paper.moments import History
from awn_jax.paper.records import Record, Records
from awn_jax.paper.targets import CONTENDERS, SINGLES, TARGETS, Setting

# Widths that a method is trained for, where it is not for all.
TRAINED = {"awn_full": 1, "awn_2": 2, "awn_fixed": 4, "awn_8": 8}
COSTS: tuple[tuple[Literal["macs", "params"], str, float], ...] = (
    ("macs", "million multiply-accumulates an image", 1e6),
    ("params", "thousand parameters", 1e3),
)


def against_width(records: Records, setting: Setting, path: pathlib.Path, methods: Sequence[str] = CONTENDERS) -> None:
    """Figure 5: the metric against width, one line for each method, the mean of its seeds."""
    figure, (axes,) = _figure(1, width=9.5)
    for method in methods:
        found = chosen(records, setting, method)
        for view in [v for v in ("test 4", "test") if found and v in found[0].curves]:
            swept = curves(found, view, "width")
            axes.plot(swept.places, swept.mean, _style(method), label=f"{label(method, view)} ({_auc(found, view)})")
            axes.set(
                xlabel="width α", ylabel=_title(found), title=f"{setting.name} (area under the curve, {_title(found)})"
            )
    _focus(axes)
    if axes.lines:
        figure.legend(fontsize="x-small", loc="outside right center")
    files.write_figure(figure, path)


def wide_range(records: Records, setting: Setting, path: pathlib.Path) -> None:
    """The metric against width, of networks for the usual range and of the same for a wider one."""
    against_width(records, setting, path, TARGETS["wide_range"].methods)


def against_macs(records: Records, setting: Setting, path: pathlib.Path) -> None:
    """The metric against operations and against parameters, with ordinary networks trained for one width each."""
    figure, panels = _figure(2)
    for axes, (quantity, unit, scale) in zip(panels, COSTS, strict=True):
        for method in [method for method in TARGETS["macs"].methods if method not in SINGLES]:
            if found := chosen(records, setting, method):
                swept = curves(found, "test", quantity)
                axes.plot(swept.places / scale, swept.mean, _style(method), label=label(method))
                panels[0].set(ylabel=_title(found))
        singles = [curves(found, "test", quantity) for method in SINGLES if (found := chosen(records, setting, method))]
        if singles:
            x, y = np.array([(swept.places[0], swept.mean[0]) for swept in singles]).T
            axes.plot(x / scale, y, "k^", label="ordinary, one network for each")
        axes.set(xlabel=unit)
    panels[0].set(title=setting.name)
    _focus(panels[0])
    _legend(panels[0])
    files.write_figure(figure, path)


def trained_widths(records: Records, setting: Setting, path: pathlib.Path) -> None:
    """Figure 4: the area under the curve against the number of widths trained."""
    figure, (axes,) = _figure(1)
    points = []
    for method in TARGETS["fig4"].methods:
        if found := chosen(records, setting, method):
            count = TRAINED.get(method, len(found[0].curves["test"].rows))
            areas = [record.curves["test"].auc for record in found]
            points.append((count, metric_of(found[0].curves["test"]).scale * np.mean(areas)))
            axes.set(ylabel=f"area under the curve, {_title(found)}")
    axes.plot(*zip(*points, strict=True), "o-")
    axes.set(xscale="log", xlabel="widths trained", title=setting.name)
    axes.set_xticks([count for count, _ in points], [str(count) for count, _ in points])
    files.write_figure(figure, path)


def full_width_only(records: Records, setting: Setting, path: pathlib.Path) -> None:
    """Figure 6: curves of networks trained at full width alone."""
    figure, (axes,) = _figure(1)
    for method in TARGETS["fig6"].methods:
        if found := chosen(records, setting, method):
            swept = curves(found, "test", "width")
            axes.plot(swept.places, swept.mean, ".-", label=f"{NAMES[method]} ({_auc(found, 'test')})")
            axes.set(ylabel=_title(found))
    axes.set(xlabel="width α", title=f"{setting.name}, trained at full width only")
    _legend(axes)
    files.write_figure(figure, path)


def batch_statistics(histories: Mapping[str, History], setting: Setting, path: pathlib.Path) -> None:
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
        f"{setting.name}: input of the second batch norm, mean over the narrowest width's channels; dashed: running"
    )
    files.write_figure(figure, path)


def _style(method: str) -> str:
    return ".-" if method.startswith("awn") else ".--"


def _figure(panels: int, *, width: float = 0.0) -> tuple[matplotlib.figure.Figure, Any]:
    figure = matplotlib.figure.Figure(figsize=(width or 6 * panels, 4.2), layout="constrained")
    axes = np.ravel(figure.subplots(1, panels, sharey=True))
    for one in axes:
        one.grid(alpha=0.3)
        # More lines than the usual ten colours.
        one.set_prop_cycle(color=matplotlib.colormaps["tab20"](range(20)))
    return figure, axes


def _focus(axes: Any) -> None:
    # A curve that falls far below the others leaves the picture, so that the others can be told apart.
    lowest = np.array([np.min(line.get_ydata()) for line in axes.lines])
    if len(lowest):
        usual, highest = np.median(lowest), max(np.max(line.get_ydata()) for line in axes.lines)
        if lowest.min() < 2 * usual - highest:
            axes.set_ylim(2 * usual - highest, highest + (highest - usual) / 8)


def _legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="x-small")


def _title(found: Sequence[Record]) -> str:
    return metric_of(found[0].curves["test"]).title


def _auc(found: Sequence[Record], view: str) -> str:
    areas = [record.curves[view].auc for record in found]
    return metric_of(found[0].curves[view]).show(float(np.mean(areas)))
