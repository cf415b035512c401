"""Sweeps for people and for programs: tables, JSON, CSV, pictures."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from awn_jax import files, tasks
from awn_jax.evaluation.sweep import Row, Sweep, area_under_curve
from awn_jax.tasks import Metric


def table(sweep: Sweep) -> str:
    """A readable table, one line for each width."""
    metrics = shown(sweep)
    heads = "".join(f"  {metric.title:>7}" for metric in metrics.values())
    lines = [f"{'width':>7}  {'params':>9}  {'MACs':>13}{heads}"]
    for row in sweep.rows:
        cells = "".join(
            f"  {metric.show(row.metrics[name]):>{max(7, len(metric.title))}}" for name, metric in metrics.items()
        )
        lines.append(f"{row.width:7.4f}  {row.params:9,d}  {row.macs:13,d}{cells}")
    return "\n".join(lines)


def summary(sweep: Sweep) -> str:
    """The one line that says it all."""
    low, high = sweep.rows[0].width, sweep.rows[-1].width
    others = "".join(f", {name} {area:.4f}" for name, area in areas(sweep).items() if name != sweep.metric)
    return (
        f"AUC {sweep.auc:.4f} over {len(sweep.rows)} widths in [{low:.2f}, {high:.2f}] "
        f"(mean of 10 evenly spaced: {sweep.mean10:.4f}){others and f'; of other metrics:{others[1:]}'}"
    )


def areas(sweep: Sweep) -> dict[str, float]:
    """The area under the curve of each metric whose `area` is told, by name."""
    at = [row.width for row in sweep.rows]
    told = [name for name, metric in shown(sweep).items() if metric.area]
    return {name: area_under_curve(at, [row.metrics[name] for row in sweep.rows]) for name in told}


def to_json(sweep: Sweep) -> dict[str, Any]:
    """A sweep as JSON has it; the metrics of a row stand beside its width, the areas of several metrics by name."""
    rows = [{"width": row.width, "params": row.params, "macs": row.macs, **row.metrics} for row in sweep.rows]
    return {**dataclasses.asdict(sweep), "areas": areas(sweep), "rows": rows}


def from_json(content: Mapping[str, Any]) -> Sweep:
    """A sweep from what `to_json` gave.

    Raises:
        KeyError, TypeError: if it is none.
    """
    rows = []
    for row in content["rows"]:
        metrics = {name: value for name, value in row.items() if name not in ("width", "params", "macs")}
        rows.append(Row(row["width"], row["params"], row["macs"], metrics))
    metric = content.get("metric", tasks.Classification().metric)
    edges = tuple(content["edges"])
    return Sweep(tuple(rows), edges, content["alpha_min"], metric, content["auc"], content["mean10"])


def write(sweep: Sweep, folder: pathlib.Path, facts: Mapping[str, object], name: str = "sweep") -> None:
    """Writes `NAME.json` and `NAME.csv`; the facts say in the JSON what was swept."""
    content = to_json(sweep)
    rows = content.pop("rows")
    files.write_json(folder / f"{name}.json", {**content, **facts, "rows": rows})
    files.write_csv(folder / f"{name}.csv", [rows[0], *(row.values() for row in rows)])


def record(sweeps: Mapping[str, Sweep], folder: pathlib.Path, name: str, facts: Mapping[str, object]) -> list[str]:
    """Writes the sweeps of one run, each as `write` does, and one picture of all, `sweep.png`.

    Args:
        sweeps: by weights: `raw` ones as `sweep`, others as `sweep_WEIGHTS`.
        folder: where to.
        name: of the run, in the picture.
        facts: see `write`.

    Returns:
        The names of the files.
    """
    for weights, sweep in sweeps.items():
        write(sweep, folder, {**facts, "weights": weights}, stem(weights))
    plot({name if w == "raw" else f"{name}, {w}": sweep for w, sweep in sweeps.items()}, folder / "sweep.png")
    return [f"{stem(weights)}.{kind}" for weights in sweeps for kind in ("json", "csv")] + ["sweep.png"]


def stem(weights: str) -> str:
    """The name of the files of a sweep of some weights."""
    return "sweep" if weights == "raw" else f"sweep_{weights}"


def tables(sweeps: Mapping[str, Sweep]) -> str:
    """A table for each of one run's sweeps, by weights; named where there are several."""
    if len(sweeps) == 1:
        return table(next(iter(sweeps.values())))
    return "\n".join(f"{weights}\n{table(sweep)}" for weights, sweep in sweeps.items())


def summaries(sweeps: Mapping[str, Sweep]) -> str:
    """A line for each of one run's sweeps, that of the raw weights last."""
    others = [f"{weights}: {summary(sweep)}" for weights, sweep in sweeps.items() if weights != "raw"]
    return "\n".join([*others, summary(sweeps["raw"])])


def plot(sweeps: Mapping[str, Sweep], path: pathlib.Path) -> None:
    """Writes `figure` to a file."""
    files.write_figure(figure(sweeps), path)


def figure(sweeps: Mapping[str, Sweep]) -> Any:
    """Draws the metric over width and over multiply-accumulates, one line for each named sweep."""
    import matplotlib.figure

    drawing = matplotlib.figure.Figure(figsize=(9, 3.8), layout="constrained")
    by_width, by_macs = drawing.subplots(1, 2, sharey=True)
    first = next(iter(sweeps.values()))
    metric = shown(first)[first.metric]
    for name, sweep in sweeps.items():
        values = [metric.scale * value for value in sweep.values]
        # A name is not to be read as mathematics.
        label = f"{files.readable(name)} (AUC {metric.show(sweep.auc)})".replace("$", r"\$")
        by_width.plot([row.width for row in sweep.rows], values, ".-", label=label)
        by_macs.plot([row.macs / 1e6 for row in sweep.rows], values, ".-", label=label)
    by_width.set(xlabel="width α", ylabel=metric.title)
    by_macs.set(xlabel="million multiply-accumulates for one image")
    for axes in (by_width, by_macs):
        axes.grid(alpha=0.3)
    # Against operations the curves rise early and leave that corner free.
    by_macs.legend(fontsize="small", loc="lower right")
    return drawing


def shown(sweep: Sweep) -> dict[str, Metric]:
    """How the metrics of a sweep are shown, by name."""
    known = {name: metric for task in tasks.TASKS.values() for name, metric in task.metrics.items()}
    return {name: known.get(name, Metric(name, 1, 4)) for name in sweep.rows[0].metrics}
