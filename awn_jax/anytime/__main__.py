"""What answering early saves: accuracy against multiply-accumulates on the test images, and the time of a ladder.

    python -m awn_jax.anytime --workdir=runs/lenet_digits

Beside the static curve (every image at one width) stands that of the policy which widens only the images that are not sure
yet. Writes anytime.json and anytime.png into the workdir. The time of climbing the ladder is measured beside one pass at its
last width, and beside a rival that starts again at every width.
"""

import argparse
import dataclasses
import pathlib

from awn_jax import arguments as types
from awn_jax import config as configs
from awn_jax import data, experiment, files, inspection, platform
from awn_jax.anytime import LADDER, policy, timing
from awn_jax.evaluation.logits import logits_at
from awn_jax.training import checkpoints


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.anytime", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", required=True, type=pathlib.Path, metavar="DIR", help="of a run of train.py")
    parser.add_argument(
        "--ladder", nargs="+", type=types.width, default=list(LADDER), metavar="W", help="(default: 0.25 0.5 0.75 1)"
    )
    parser.add_argument("--batch-size", type=types.positive(int), default=32, help="of the timing (default: 32)")
    parser.add_argument("--rounds", type=int, default=30, help="of the timing; 0 leaves it out (default: 30)")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> None:
    workdir, ladder = arguments.workdir, sorted(set(arguments.ladder))
    config = configs.load(workdir / "config.json")
    images = experiment.load_data(config, "test")
    model, step = experiment.restore(config, workdir, images, data.data_mesh())
    if not model.keeps_prefix:
        raise configs.ConfigError(f"widening needs triangular layers, {workdir} has {config.model.conv} ones")
    height, breadth, planes = images.images.shape[1:]
    logits = logits_at(model, images, experiment.preparation(config), ladder)
    macs = [inspection.cost(model, (height, breadth, planes), width).macs for width in ladder]
    static = policy.static_curve(logits, images.labels, ladder, macs)
    confident = policy.confidence_curve(logits, images.labels, macs)
    print(f"── {workdir}: step {step}, {len(images):,} test images of {config.data.name}")
    for points, name in ((static, "width"), (confident, "confidence")):
        print(f"{name:>10}  {'top-1 %':>7}  {'mean MACs':>12}")
        for point in points:
            print(f"{point.name:10.4g}  {100 * point.top1:7.2f}  {point.macs:12,.0f}")
    content = {
        "step": step,
        "ladder": ladder,
        "static": [dataclasses.asdict(point) for point in static],
        "confidence": [dataclasses.asdict(point) for point in confident],
    }
    if arguments.rounds > 0:
        seconds, processors = timing.compare(
            model, (height, breadth, planes), ladder, arguments.batch_size, rounds=arguments.rounds
        )
        content["timing"] = {"batch_size": arguments.batch_size, "wall": seconds, "processors": processors}
        print(f"batch of {arguments.batch_size}: one pass at width {ladder[-1]:g} takes {1e3 * seconds['full']:.2f} ms")
        print(f"{'times that':>10}  {'MACs':>5}  {'clock':>5}  {'processors':>10}")
        for name, work in (("ladder", 1.0), ("restart", sum(macs) / macs[-1])):
            ratios = [times[name] / times["full"] for times in (seconds, processors)]
            print(f"{name:>10}  {work:5.2f}  {ratios[0]:5.2f}  {ratios[1]:10.2f}")
    files.write_json(workdir / "anytime.json", content)
    policy.plot(static, confident, workdir / "anytime.png")
    print(f"wrote {workdir}/anytime.json, anytime.png")


def main() -> None:
    arguments = parse_arguments()
    platform.start()
    try:
        run(arguments)
    except (configs.ConfigError, data.DataError, checkpoints.CheckpointError) as error:
        platform.fail(error)


if __name__ == "__main__":
    main()
