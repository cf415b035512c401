"""Measures every width of a trained network on this machine, and says which one a budget allows.

    python -m awn_jax.profile --workdir=runs/lenet_digits
    python -m awn_jax.profile --workdir=runs/lenet_digits --budget-ms=0.4      # reads the profile measured before

Writes profile.json, profile.csv and profile.png into the workdir: parameters, multiply-accumulates, test accuracy, peak
activation memory and latency (median and 95th percentile) of each width, and how long switching the width takes.
"""

import argparse
import csv
import pathlib

import jax

from awn_jax import arguments as types
from awn_jax import config as configs
from awn_jax import data, evaluation, experiment, platform, profile
from awn_jax.models import distinct_widths
from awn_jax.training import checkpoints


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", required=True, type=pathlib.Path, metavar="DIR", help="of a run of train.py")
    parser.add_argument(
        "--widths",
        nargs="+",
        type=types.width,
        metavar="W",
        help="these widths only (default: every distinct sub-network)",
    )
    parser.add_argument(
        "--batch-sizes", nargs="+", type=types.positive(int), default=[1, 64], metavar="B", help="(default: 1 64)"
    )
    parser.add_argument("--seconds", type=types.positive(float), default=20.0, help="to spend on timing (default: 20)")
    budgets = parser.add_argument_group("budgets, which read the profile measured before and print the best width")
    budgets.add_argument("--budget-ms", type=types.positive(float), metavar="MS", help="95th percentile, for a batch")
    budgets.add_argument("--budget-macs", type=types.positive(float), metavar="N", help="for one image")
    budgets.add_argument("--budget-bytes", type=types.positive(float), metavar="N", help="parameters and activations")
    budgets.add_argument("--batch-size", type=int, metavar="B", help="of the budget (default: the first measured)")
    arguments = parser.parse_args(argv)
    if arguments.batch_size and not (arguments.budget_ms or arguments.budget_macs or arguments.budget_bytes):
        parser.error("--batch-size is that of a budget; --batch-sizes says which to measure")
    return arguments


def run(arguments: argparse.Namespace) -> None:
    workdir = arguments.workdir
    budget = {"ms": arguments.budget_ms, "macs": arguments.budget_macs, "bytes": arguments.budget_bytes}
    if any(value is not None for value in budget.values()):
        measured = profile.load(workdir)
        width = measured.best_width(**budget, batch_size=arguments.batch_size)
        print(f"measured on {measured.device}")
        print(f"best width {width:g}")
        return
    config = configs.load(workdir / "config.json")
    images = experiment.load_data(config, "test")
    mesh = data.data_mesh()
    model, step = experiment.restore(config, workdir, images, mesh)
    at = sorted(set(arguments.widths or distinct_widths(model, config.widths.minimum)))
    result = evaluation.sweep(model, images, experiment.preparation(config), mesh, at=at)
    height, breadth, planes = images.images.shape[1:]
    rows, switch = profile.measure(
        model,
        (height, breadth, planes),
        {row.width: row.top1 for row in result.rows},
        arguments.batch_sizes,
        seconds=arguments.seconds,
    )
    measured = profile.Profile(
        platform.describe_device(), jax.__version__, step, tuple(arguments.batch_sizes), switch, rows
    )
    print(measured)
    profile.save(measured, workdir)
    profile.plot(measured, workdir / "profile.png")
    with (workdir / "profile.csv").open("w", newline="") as file:
        csv.writer(file).writerows(profile.table.cells(measured))
    print(f"wrote {workdir}/profile.json, profile.csv, profile.png")
    for batch, extra in switch.items():
        print(f"switching the width at batch size {batch}: {extra:+.3f} ms, nothing compiled")


def main() -> None:
    arguments = parse_arguments()
    platform.start()
    try:
        run(arguments)
    except (profile.ProfileError, configs.ConfigError, data.DataError, checkpoints.CheckpointError) as error:
        platform.fail(error)


if __name__ == "__main__":
    main()
