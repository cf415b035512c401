"""Measures the widths of a trained network on this machine, and says which one a budget allows.

    python -m awn_jax.profile --workdir=runs/demo
    python -m awn_jax.profile --workdir=runs/demo --budget-ms=0.4      # reads the profile measured before

Writes profile.json, profile.csv and profile.png into the workdir, or where --out says: parameters, multiply-accumulates, the
task's metrics on the test images, peak activation memory and latency (median and 95th percentile) of each width, and how long
switching the width takes.
"""

import argparse

import jax
from flax import nnx

from awn_jax import arguments as types
from awn_jax import data, evaluation, files, hardware, profile
from awn_jax import run as runs
from awn_jax.models import distinct_widths
from awn_jax.profile.table import table
from awn_jax.widths import spread

FILES = ("profile.json", "profile.csv", "profile.png")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    count, amount = types.positive(int), types.positive(float)
    parser.add_argument("--workdir", required=True, metavar="DIR", help="of a run of train.py")
    parser.add_argument(
        "--widths",
        nargs="+",
        type=types.width,
        metavar="W",
        help=f"these widths only (default: every distinct sub-network, or {profile.MOST_WIDTHS} of them, evenly spaced)",
    )
    parser.add_argument("--batch-sizes", nargs="+", type=count, default=[1, 64], metavar="B", help="(default: 1 64)")
    parser.add_argument("--seconds", type=amount, default=20.0, help="to spend on timing (default: 20)")
    parser.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its sets (default: the run's)")
    parser.add_argument("--out", metavar="DIR", help="where the files go, or are (default: the workdir)")
    budgets = parser.add_argument_group("budgets, which read the profile measured before and print the best width")
    budgets.add_argument("--budget-ms", type=amount, metavar="MS", help="95th percentile, for a batch")
    budgets.add_argument("--budget-macs", type=amount, metavar="N", help="for one example")
    budgets.add_argument("--budget-bytes", type=amount, metavar="N", help="parameters and activations")
    budgets.add_argument("--batch-size", type=count, metavar="B", help="of the budget (default: the first measured)")
    parsed = parser.parse_args(argv)
    parsed.batch_sizes = list(dict.fromkeys(parsed.batch_sizes))
    parsed.budget = {name: getattr(parsed, f"budget_{name}") for name in ("ms", "macs", "bytes")}
    if not any(parsed.budget.values()):
        parsed.budget = {}
    if parsed.batch_size and not parsed.budget:
        parser.error("--batch-size is that of a budget; --batch-sizes says which to measure")
    return parsed


def main(argv: list[str] | None = None) -> None:
    parsed = parse_arguments(argv)
    hardware.start()

    # ── a budget
    run = runs.open_run(parsed.workdir)
    if parsed.budget:
        known = profile.load_current(run, parsed.out)
        width = known.best_width(**parsed.budget, batch_size=parsed.batch_size)
        print(f"measured on {known.device}")
        print(f"best width {width:g}")
        return

    # ── the network and the images
    out = files.folder(parsed.out or run.folder, "--out" if parsed.out else "--workdir", FILES)
    images, mesh = run.images("test", parsed.data_dir), data.data_mesh()
    model, step = run.restore(mesh=mesh, data_dir=parsed.data_dir)
    at = sorted(set(parsed.widths)) if parsed.widths else chosen_widths(model, run.config.widths.minimum)

    # ── what each width gives, and what it costs
    result = evaluation.sweep(model, images, run.preparation, mesh, at=at, task=run.task)
    rows, switch = profile.measure(model, run.facts.image_size, result.rows, parsed.batch_sizes, seconds=parsed.seconds)
    device, metric = hardware.describe_device(), run.task.metrics[run.task.metric]
    measured = profile.Profile(device, jax.__version__, step, run.task.metric, tuple(parsed.batch_sizes), switch, rows)
    print(f"── {run.folder}: step {step}, on {device}")
    print(table(measured, metric))
    for batch, extra in switch.items():
        print(f"switching the width at batch size {batch}: {extra:+.3f} ms, nothing compiled")

    # ── the files
    profile.save(measured, out)
    profile.plot(measured, metric, out / "profile.png")
    print(f"wrote {out}/{', '.join(FILES)}")


def chosen_widths(model: nnx.Module, minimum: float) -> list[float]:
    every = distinct_widths(model, minimum)
    if len(every) > profile.MOST_WIDTHS:
        print(f"profiling {profile.MOST_WIDTHS} of {len(every):,} sub-networks, evenly spaced: --widths names others")
    return spread(every, profile.MOST_WIDTHS)


if __name__ == "__main__":
    with hardware.one_line_errors():
        main()
