"""Scores a trained network at every distinct sub-network and prints the area under its curve over the width.

    python eval_sweep.py --workdir=runs/lenet_fmnist
    python eval_sweep.py --workdir runs/a runs/b      # one picture of both

A sweep of all widths on the test images writes sweep.json, sweep.csv and sweep.png into the workdir. One of some widths, of
another split or of other batch-norm statistics only prints, unless --out says where it goes.
"""

import argparse
import pathlib

from awn_jax import arguments as types
from awn_jax import build, data, evaluation, files, hardware, page, profile, tasks
from awn_jax import run as runs
from awn_jax.anytime import LADDER
from awn_jax.evaluation import by_class, report


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", nargs="+", required=True, metavar="DIR", help="of a run of train.py")
    parser.add_argument("more", nargs="*", metavar="DIR", help="further workdirs")
    parser.add_argument(
        "--split", default="test", help="test, train, validation, or a split of the set's own (default: test)"
    )
    parser.add_argument("--widths", nargs="+", type=types.width, metavar="W", help="these widths only, as 0.5 or 1/3")
    parser.add_argument(
        "--calibrated",
        nargs="+",
        type=types.width,
        metavar="W",
        help="for a US-Net: with the batch-norm statistics of these widths only (default: those that the run computed)",
    )
    parser.add_argument("--alpha-min", type=types.width, metavar="W", help="narrowest width (default: the run's)")
    parser.add_argument("--batch-size", type=types.positive(int), help="images at a time (default: 1000 small ones)")
    parser.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its sets (default: the run's)")
    parser.add_argument("--out", metavar="DIR", help="where the files go (default: the workdir, see above)")
    parser.add_argument(
        "--plot", type=types.picture, default="sweeps.png", metavar="FILE", help="overlay of several runs"
    )
    parser.add_argument(
        "--by-class",
        action="store_true",
        help="also the accuracy of each class: classes.csv, at --widths or 1/4 1/2 3/4 1",
    )
    parser.add_argument("--html", action="store_true", help="also sweep.html: a page with a width slider and images")
    parsed = parser.parse_args(argv)
    # Each once, in the order given.
    parsed.workdir = [pathlib.Path(p).expanduser() for p in dict.fromkeys(parsed.workdir + parsed.more)]
    if parsed.widths and parsed.alpha_min:
        parser.error("--alpha-min says where all widths begin, and cannot be given with --widths")
    if parsed.calibrated and 1 not in parsed.calibrated:
        parser.error(f"--calibrated must hold 1, full width, got {parsed.calibrated}")
    if parsed.out and len(parsed.workdir) > 1:
        parser.error(f"--out takes the files of one --workdir, got {len(parsed.workdir)}")
    parsed.whole = parsed.split == "test" and not (parsed.widths or parsed.calibrated or parsed.alpha_min)
    if parsed.html and not (parsed.whole or parsed.out):
        parser.error("--html needs --out, except of a sweep of all widths on the test images")
    return parsed


def sweep_workdir(workdir: pathlib.Path, parsed: argparse.Namespace) -> dict[str, evaluation.Sweep]:
    # ── what to do
    run = runs.open_run(workdir)
    recorded = bool(parsed.out) or parsed.whole
    out = pathlib.Path(parsed.out or workdir).expanduser()
    if recorded:
        written = [*runs.SWEEP_FILES, *["classes.csv"] * parsed.by_class, *["sweep.html"] * parsed.html]
        files.folder(out, "--out" if parsed.out else "--workdir", written)
    if parsed.calibrated and run.config.model.options.family != "us_net":
        raise runs.RunError(f"--calibrated is for a US-Net, {workdir} has family {run.config.model.options.family!r}")
    if parsed.by_class and not isinstance(run.task, tasks.Classification):
        raise runs.RunError(
            f"--by-class is for a task that gives each image a class, {workdir} has task {run.task.name!r}"
        )
    images, mesh = run.images(parsed.split, parsed.data_dir), data.data_mesh()

    # ── the network, and its moving average where there is one
    results, models = {}, {}
    for weights in ("raw", "ema") if run.config.train.ema else ("raw",):
        models[weights], step = run.restore(ema=weights == "ema", mesh=mesh, data_dir=parsed.data_dir)
        if parsed.calibrated:
            training_images = run.images("train", parsed.data_dir)
            build.calibrate(run.config, models[weights], training_images, run.preparation, mesh, parsed.calibrated)

        # ── every width
        with build.naming("widths"):
            results[weights] = evaluation.sweep(
                models[weights],
                images,
                run.preparation,
                mesh,
                minimum=parsed.alpha_min or run.config.widths.minimum,
                at=sorted(set(parsed.widths)) if parsed.widths else None,
                batch_size=parsed.batch_size,
                task=run.task,
            )
    print(f"── {workdir}: step {step}, {len(images):,} images of {run.config.data.name} {parsed.split}")
    print(report.tables(results))
    if recorded:
        facts = {"workdir": workdir.name, "split": parsed.split, "step": step}
        print(f"wrote {out}/{', '.join(report.record(results, out, workdir.name, facts))}")
    else:
        print(
            "not written, since the run's own sweep is of all widths on the test images: --out=DIR says where it goes"
        )
    if parsed.by_class:
        swept = [row.width for row in results["raw"].rows]
        at = swept if parsed.widths else [width for width in LADDER if width >= swept[0]]
        found = by_class.by_class(models["raw"], images, run.preparation, at, run.task)
        print(by_class.table(found))
        if recorded:
            by_class.write(found, out / "classes.csv")
            print(f"wrote {out}/classes.csv")
    if parsed.html:
        model, result = models["raw"], results["raw"]
        page.write_run(out / "sweep.html", run, model, step, result, images, profile.latencies(run, model, result))
        print(f"wrote {out}/sweep.html")
    print(report.summaries(results), flush=True)
    return {str(workdir) if weights == "raw" else f"{workdir}, {weights}": sweep for weights, sweep in results.items()}


def main() -> None:
    parsed = parse_arguments()
    hardware.start()
    if len(parsed.workdir) > 1:
        files.folder(parsed.plot.parent, "--plot")
    sweeps = {name: sweep for workdir in parsed.workdir for name, sweep in sweep_workdir(workdir, parsed).items()}
    if len(parsed.workdir) > 1:
        report.plot(sweeps, parsed.plot)
        print(f"wrote {parsed.plot}")
        for workdir, result in sweeps.items():
            print(f"{workdir}: {report.summary(result)}")


if __name__ == "__main__":
    with hardware.one_line_errors():
        main()
