"""Scores a trained network at every distinct sub-network and prints the area under its width–accuracy curve.

    python eval_sweep.py --workdir=runs/lenet_fmnist
    python eval_sweep.py --workdir runs/a runs/b      # one picture of both

Writes sweep.json, sweep.csv and sweep.png into each workdir; with several, also one overlaid picture, --plot.
"""

import argparse
import pathlib

from awn_jax import arguments as types
from awn_jax import config as configs
from awn_jax import data, evaluation, experiment, platform, profile
from awn_jax.evaluation import html, report
from awn_jax.evaluation.logits import logits_at
from awn_jax.models import AnyWidthClassifier
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
    parser.add_argument("--widths", nargs="+", type=types.width, metavar="W", help="these widths only, instead of all")
    parser.add_argument(
        "--calibrated",
        nargs="+",
        type=types.width,
        metavar="W",
        help="for a US-Net: with the batch-norm statistics of these widths only (default: those that the run computed)",
    )
    parser.add_argument("--alpha-min", type=types.width, metavar="W", help="narrowest width (default: the run's)")
    parser.add_argument("--batch-size", type=types.positive(int), default=1000, help="images at a time (default: 1000)")
    parser.add_argument(
        "--plot", type=pathlib.Path, default=pathlib.Path("sweeps.png"), help="overlaid picture of several runs"
    )
    parser.add_argument(
        "--html", action="store_true", help="also sweep.html: a page with a width slider and test images"
    )
    arguments = parser.parse_args(argv)
    # Each once, in the order given.
    arguments.workdir = list(dict.fromkeys(arguments.workdir + arguments.more))
    if arguments.widths and arguments.alpha_min:
        parser.error("--alpha-min says where all widths begin, and cannot be given with --widths")
    if arguments.calibrated and 1 not in arguments.calibrated:
        parser.error(f"--calibrated must hold 1, full width, got {arguments.calibrated}")
    return arguments


def sweep_workdir(workdir: pathlib.Path, arguments: argparse.Namespace) -> evaluation.Sweep:
    config = configs.load(workdir / "config.json")
    images = experiment.load_data(config, arguments.split)
    mesh = data.data_mesh()
    model, step = experiment.restore(config, workdir, images, mesh)
    if arguments.calibrated:
        if config.model.norm != "calibrated":
            raise configs.ConfigError(f"--calibrated is for a US-Net, {workdir} has model.norm={config.model.norm!r}")
        training_images = experiment.load_data(config, "train")
        with configs.blaming("widths"):
            experiment.calibrate(config, model, training_images, mesh, arguments.calibrated)
    with configs.blaming("widths"):
        result = evaluation.sweep(
            model,
            images,
            experiment.preparation(config),
            mesh,
            minimum=arguments.alpha_min or config.widths.minimum,
            at=sorted(set(arguments.widths)) if arguments.widths else None,
            batch_size=arguments.batch_size,
        )
    print(f"── {workdir}: step {step}, {len(images):,} images of {config.data.name} {arguments.split}")
    print(report.table(result))
    report.write(result, workdir, extra={"workdir": workdir.name, "split": arguments.split, "step": step})
    report.plot({workdir.name: result}, workdir / "sweep.png")
    print(f"wrote {workdir}/sweep.json, sweep.csv, sweep.png")
    if arguments.html:
        write_page(workdir, config, images, model, result, arguments.batch_size)
        print(f"wrote {workdir}/sweep.html")
    print(report.summary(result), flush=True)
    return result


def write_page(
    workdir: pathlib.Path,
    config: configs.Config,
    images: data.ImageSet,
    model: AnyWidthClassifier,
    result: evaluation.Sweep,
    batch_size: int,
) -> None:
    widths = [row.width for row in result.rows]
    logits = logits_at(model, images, experiment.preparation(config), widths, batch_size=batch_size)
    latency, device = latencies(workdir, images, model, result)
    about = f"{len(images):,} images of {config.data.name}. Every width is part of the same network. Latency: {device}."
    title = f"{workdir.name}: one network, {len(widths)} widths"
    html.write(workdir / "sweep.html", result, images, logits, title=title, about=about, latency_ms=latency)


def latencies(
    workdir: pathlib.Path, images: data.ImageSet, model: AnyWidthClassifier, result: evaluation.Sweep
) -> tuple[dict[float, float], str]:
    """Milliseconds for one image by width, and where: from the run's profile if that has all widths, else measured now."""
    top1 = {row.width: row.top1 for row in result.rows}
    try:
        measured = profile.load(workdir)
        rows, batch, device = measured.rows, measured.batch_sizes[0], measured.device
    except profile.ProfileError:
        rows, batch, device = (), 1, ""
    if not set(top1) <= {row.width for row in rows}:
        height, breadth, planes = images.images.shape[1:]
        rows, _ = profile.measure(model, (height, breadth, planes), top1, [1], seconds=5.0)
        batch, device = 1, platform.describe_device()
    return {row.width: row.latency[batch].median_ms / batch for row in rows}, f"{device}, batch size {batch}"


def main() -> None:
    arguments = parse_arguments()
    platform.start()
    try:
        sweeps = {str(workdir): sweep_workdir(workdir, arguments) for workdir in arguments.workdir}
    except (configs.ConfigError, data.DataError, checkpoints.CheckpointError) as error:
        platform.fail(error)
    if len(sweeps) > 1:
        report.plot(sweeps, arguments.plot)
        print(f"wrote {arguments.plot}")
        for workdir, result in sweeps.items():
            print(f"{workdir}: {report.summary(result)}")


if __name__ == "__main__":
    main()
