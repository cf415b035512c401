"""Sweeps for people and for programs: tables, JSON, CSV, pictures."""

import csv
import dataclasses
import pathlib
from collections.abc import Mapping

from awn_jax import files
from awn_jax.evaluation.sweep import Sweep


def table(sweep: Sweep) -> str:
    """A readable table, one line for each width."""
    lines = [f"{'width':>7}  {'params':>9}  {'MACs':>13}  {'top-1 %':>7}  {'loss':>7}"]
    for row in sweep.rows:
        lines.append(f"{row.width:7.4f}  {row.params:9,d}  {row.macs:13,d}  {100 * row.top1:7.2f}  {row.loss:7.4f}")
    return "\n".join(lines)


def summary(sweep: Sweep) -> str:
    """The one line that says it all."""
    low, high = sweep.rows[0].width, sweep.rows[-1].width
    return (
        f"AUC {sweep.auc:.4f} over {len(sweep.rows)} widths in [{low:.2f}, {high:.2f}] "
        f"(mean of 10 evenly spaced: {sweep.mean10:.4f})"
    )


def write(
    sweep: Sweep, folder: pathlib.Path, *, name: str = "sweep", extra: Mapping[str, object] | None = None
) -> None:
    """Writes `sweep.json` and `sweep.csv`; `extra` says in the JSON what was swept."""
    rows = [dataclasses.asdict(row) for row in sweep.rows]
    content = {
        "auc": sweep.auc,
        "mean10": sweep.mean10,
        "alpha_min": sweep.alpha_min,
        "edges": sweep.edges,
        **(extra or {}),
        "rows": rows,
    }
    files.write_json(folder / f"{name}.json", content)
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["width", "params", "macs", "top1", "loss"])
        writer.writeheader()
        writer.writerows(rows)


def plot(sweeps: Mapping[str, Sweep], path: pathlib.Path) -> None:
    """Draws top-1 accuracy over width and over multiply-accumulates, one line for each named sweep."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(9, 3.8), layout="constrained")
    by_width, by_macs = figure.subplots(1, 2, sharey=True)
    for name, sweep in sweeps.items():
        top1 = [100 * row.top1 for row in sweep.rows]
        label = f"{name} (AUC {100 * sweep.auc:.2f})"
        by_width.plot([row.width for row in sweep.rows], top1, ".-", label=label)
        by_macs.plot([row.macs / 1e6 for row in sweep.rows], top1, ".-", label=label)
    by_width.set(xlabel="width α", ylabel="top-1 accuracy, %")
    by_macs.set(xlabel="million multiply-accumulates for one image")
    for axes in (by_width, by_macs):
        axes.grid(alpha=0.3)
    # Against operations the curves rise early and leave that corner free.
    by_macs.legend(fontsize="small", loc="lower right")
    figure.savefig(path, dpi=150)
