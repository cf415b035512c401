"""Scores a trained network at every distinct sub-network and prints the area under its width–accuracy curve.

    python eval_sweep.py --workdir=runs/lenet_fmnist
    python eval_sweep.py --workdir runs/a runs/b      # one picture of both

Writes sweep.json, sweep.csv and sweep.png into each workdir; with several, also one overlaid picture, --plot.
"""

import argparse
import logging
import pathlib
import sys

from awn_jax import config as configs
from awn_jax import data, evaluation, experiment, platform
from awn_jax.evaluation import report
from awn_jax.training import checkpoints


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--workdir", nargs="+", required=True, type=pathlib.Path, metavar="DIR", help="of a run of train.py"
    )
    parser.add_argument("more", nargs="*", type=pathlib.Path, metavar="DIR", help="further workdirs")
    parser.add_argument(
        "--split", default="test", help="test, train, or a split of the image set's own (default: test)"
    )
    parser.add_argument("--widths", nargs="+", type=float, metavar="W", help="these widths only, instead of all")
    parser.add_argument("--alpha-min", type=float, metavar="W", help="narrowest width (default: the run's)")
    parser.add_argument("--batch-size", type=int, default=1000, help="images at a time (default: 1000)")
    parser.add_argument(
        "--plot", type=pathlib.Path, default=pathlib.Path("sweeps.png"), help="overlaid picture of several runs"
    )
    arguments = parser.parse_args(argv)
    arguments.workdir += arguments.more
    if arguments.batch_size < 1:
        parser.error(f"--batch-size must be at least 1, got {arguments.batch_size}")
    return arguments


def sweep_workdir(workdir: pathlib.Path, arguments: argparse.Namespace) -> evaluation.Sweep:
    config = configs.load(workdir / "config.json")
    images = experiment.load_data(config, arguments.split)
    mesh = data.data_mesh()
    model, step = experiment.restore(config, workdir, images, mesh)
    with configs.blaming("widths"):
        result = evaluation.sweep(
            model,
            images,
            experiment.preparation(config),
            mesh,
            minimum=arguments.alpha_min or config.widths.minimum,
            at=sorted(arguments.widths) if arguments.widths else None,
            batch_size=arguments.batch_size,
        )
    print(f"── {workdir}: step {step}, {len(images):,} images of {config.data.name} {arguments.split}")
    print(report.table(result))
    report.write(result, workdir, extra={"workdir": workdir.name, "split": arguments.split, "step": step})
    report.plot({workdir.name: result}, workdir / "sweep.png")
    print(f"wrote {workdir}/sweep.json, sweep.csv, sweep.png")
    print(report.summary(result), flush=True)
    return result


def main() -> None:
    arguments = parse_arguments()
    logging.getLogger("absl").setLevel(logging.WARNING)
    platform.keep_freed_memory()
    platform.use_compilation_cache()
    try:
        sweeps = {str(workdir): sweep_workdir(workdir, arguments) for workdir in arguments.workdir}
    except (configs.ConfigError, data.DataError, checkpoints.CheckpointError) as error:
        sys.exit(f"error: {error}")
    if len(sweeps) > 1:
        report.plot(sweeps, arguments.plot)
        print(f"wrote {arguments.plot}")
        for workdir, result in sweeps.items():
            print(f"{workdir}: {report.summary(result)}")


if __name__ == "__main__":
    main()
