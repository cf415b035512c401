"""Measures every width of a trained network on this machine, and says which one a budget allows.

    python -m awn_jax.profile --workdir=runs/demo
    python -m awn_jax.profile --workdir=runs/demo --budget-ms=0.4      # reads the profile measured before

Writes profile.json, profile.csv and profile.png: parameters, multiply-accumulates, the metric on the test images, peak activation
memory and latency (median and 95th percentile) of each width, and how long switching the width takes. Of a network with many
sub-networks, 64 evenly spaced ones are measured, since a program is compiled for each.
"""

import argparse

import jax
import numpy as np

from awn_jax import arguments as types
from awn_jax import data, evaluation, files, hardware, profile
from awn_jax import run as runs
from awn_jax.models import distinct_widths

MOST_WIDTHS = 64


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", required=True, metavar="DIR", help="of a run of train.py")
    parser.add_argument("--widths", nargs="+", type=types.width, metavar="W", help="these widths only (default: all)")
    parser.add_argument(
        "--batch-sizes", nargs="+", type=types.positive(int), default=[1, 64], metavar="B", help="(default: 1 64)"
    )
    parser.add_argument("--seconds", type=types.positive(float), default=20.0, help="to spend on timing (default: 20)")
    parser.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its sets (default: the run's)")
    parser.add_argument("--out", metavar="DIR", help="where the files go (default: the workdir)")
    budgets = parser.add_argument_group("budgets, which read the profile measured before and print the best width")
    budgets.add_argument("--budget-ms", type=types.positive(float), metavar="MS", help="95th percentile, for a batch")
    budgets.add_argument("--budget-macs", type=types.positive(float), metavar="N", help="for one image")
    budgets.add_argument("--budget-bytes", type=types.positive(float), metavar="N", help="parameters and activations")
    budgets.add_argument(
        "--batch-size", type=types.positive(int), metavar="B", help="of the budget (default: the first measured)"
    )
    parsed = parser.parse_args(argv)
    if parsed.batch_size and not (parsed.budget_ms or parsed.budget_macs or parsed.budget_bytes):
        parser.error("--batch-size is that of a budget; --batch-sizes says which to measure")
    return parsed


def main() -> None:
    parsed = parse_arguments()
    run = runs.open_run(parsed.workdir)
    budget = {"ms": parsed.budget_ms, "macs": parsed.budget_macs, "bytes": parsed.budget_bytes}
    if any(value is not None for value in budget.values()):
        measured = profile.load_current(run)
        width = measured.best_width(**budget, batch_size=parsed.batch_size)
        print(f"measured on {measured.device}")
        print(f"best width {width:g}")
        return
    out = files.folder(parsed.out or run.folder, "--out" if parsed.out else "--workdir")
    hardware.start()
    images, mesh = run.images("test", parsed.data_dir), data.data_mesh()
    model, step = run.restore(mesh=mesh, data_dir=parsed.data_dir)
    at = sorted(set(parsed.widths or distinct_widths(model, run.config.widths.minimum)))
    if len(at) > MOST_WIDTHS and not parsed.widths:
        print(f"{MOST_WIDTHS} of {len(at):,} sub-networks, evenly spaced")
        at = [at[i] for i in np.linspace(0, len(at) - 1, MOST_WIDTHS).round().astype(int)]
    result = evaluation.sweep(model, images, run.preparation, mesh, at=at, task=run.task)
    values = {row.width: row.metrics[result.metric] for row in result.rows}
    sizes = tuple(parsed.batch_sizes)
    rows, switch = profile.measure(model, run.facts.image_size, values, sizes, seconds=parsed.seconds)
    measured = profile.Profile(hardware.describe_device(), jax.__version__, step, result.metric, sizes, switch, rows)
    metric = run.task.metrics[result.metric]
    print(measured.text(metric))
    profile.save(measured, out)
    profile.plot(measured, metric, out / "profile.png")
    profile.write_csv(measured, out / "profile.csv")
    print(f"wrote {out}/profile.json, profile.csv, profile.png")
    for batch, extra in switch.items():
        print(f"switching the width at batch size {batch}: {extra:+.3f} ms, nothing compiled")


if __name__ == "__main__":
    with hardware.one_line_errors():
        main()
