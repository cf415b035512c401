"""What answering early saves: the task's metric against multiply-accumulates on the test images, and the time of a ladder.

    python -m awn_jax.anytime --workdir=runs/demo

Beside the static curve (every image at one width) stands that of the policy which widens only the images that are not sure
yet. Writes anytime.json and anytime.png into the workdir, or where --out says. The time of climbing the ladder is measured
beside one pass at its last width, and beside a rival that starts again at every width. Of a network with early exits, it also
says which exit at which width a budget of operations should take.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from awn_jax import arguments as types
from awn_jax import files, hardware, network
from awn_jax import run as runs
from awn_jax.anytime import LADDER, exits, policy, timing
from awn_jax.evaluation.outputs import affordable, outputs_at
from awn_jax.tasks import Metric

FILES = ("anytime.json", "anytime.png")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.anytime", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", required=True, metavar="DIR", help="of a run of train.py")
    parser.add_argument(
        "--ladder", nargs="+", type=types.width, default=list(LADDER), metavar="W", help="(default: 0.25 0.5 0.75 1)"
    )
    parser.add_argument("--batch-size", type=types.positive(int), default=32, help="of the timing (default: 32)")
    parser.add_argument("--rounds", type=int, default=30, help="of the timing; 0 leaves it out (default: 30)")
    parser.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its sets (default: the run's)")
    parser.add_argument("--out", metavar="DIR", help="where the files go (default: the workdir)")
    parsed = parser.parse_args(argv)
    parsed.ladder = sorted(set(parsed.ladder))
    if parsed.rounds < 0:
        parser.error(f"--rounds must be 0 or more, got {parsed.rounds}")
    return parsed


def main(argv: list[str] | None = None) -> None:
    parsed = parse_arguments(argv)
    hardware.start()
    ladder = parsed.ladder

    # ── the network and the images
    run = runs.open_run(parsed.workdir)
    out = files.folder(parsed.out or run.folder, "--out" if parsed.out else "--workdir", FILES)
    images = run.images("test", parsed.data_dir)
    model, step = run.restore(data_dir=parsed.data_dir)
    size = run.facts.image_size
    obstacle = network.read(model, size).obstacle
    if obstacle:
        raise runs.RunError(
            f"{run.folder} cannot be widened, its narrow networks are no prefixes of the wide one: {obstacle}"
        )

    # ── what the policies give
    task, metric = run.task.at(ladder), run.task.metrics[run.task.metric]
    images = affordable(model, images, len(ladder))
    outputs = outputs_at(model, images, run.preparation, ladder)
    macs = network.costs(model, size, ladder).macs.tolist()
    targets = task.targets(images.gathered(task.entries))
    static = policy.static_curve(outputs, targets, ladder, macs, task)
    confident = policy.confidence_curve(outputs, targets, macs, task)
    print(f"── {run.folder}: step {step}, {len(images):,} test images of {run.config.data.name}")
    print_points(static, "width", metric)
    print_points(confident, "confidence", metric)
    content = {
        "step": step,
        "metric": task.metric,
        "ladder": ladder,
        "static": [dataclasses.asdict(point) for point in static],
        "confidence": [dataclasses.asdict(point) for point in confident],
    }

    # ── depth too
    if model.early:
        chosen = exits.table(exits.grid(model, images, run.preparation, ladder, run.task))
        content["exits"] = [choice._asdict() for choice in chosen]
        print_choices(chosen, static, metric)

    # ── what a ladder costs
    if parsed.rounds:
        seconds, processors = timing.compare(model, size, ladder, parsed.batch_size, rounds=parsed.rounds)
        content["timing"] = {"batch_size": parsed.batch_size, "wall": seconds, "processors": processors}
        print_times(seconds, processors, ladder[-1], sum(macs) / macs[-1], parsed.batch_size)

    # ── the files
    files.write_json(out / "anytime.json", content)
    policy.plot(static, confident, metric, out / "anytime.png")
    print(f"wrote {out}/{', '.join(FILES)}")


def print_points(points: tuple[policy.Point, ...], name: str, metric: Metric) -> None:
    print(f"{name:>10}  {metric.title:>7}  {'mean MACs':>12}")
    for point in points:
        print(f"{point.name:10.4g}  {metric.show(point.value):>7}  {point.macs:12,.0f}")


def print_choices(chosen: Sequence[exits.Choice], static: tuple[policy.Point, ...], metric: Metric) -> None:
    """The policy of exits and widths, beside the best width of the whole network for the same operations."""
    print(f"{'up to MACs':>12}  {'exit':>4}  {'width':>6}  {metric.title:>7}  width alone")
    for choice in chosen:
        alone = [point.value for point in static if point.macs <= choice.macs]
        told = metric.show(max(alone)) if alone else "none"
        print(
            f"{choice.macs:12,.0f}  {choice.exit + 1:4d}  {choice.width:6.4g}  {metric.show(choice.value):>7}  {told:>11}"
        )


def print_times(
    seconds: dict[str, Any], processors: dict[str, Any], width: float, again: float, batch_size: int
) -> None:
    print(f"batch of {batch_size}: one pass at width {width:g} takes {1e3 * seconds['full']:.2f} ms")
    print(f"{'times that':>10}  {'MACs':>5}  {'clock':>5}  {'processors':>10}")
    for name, work in (("ladder", 1.0), ("restart", again)):
        ratios = [times[name] / times["full"] for times in (seconds, processors)]
        print(f"{name:>10}  {work:5.2f}  {ratios[0]:5.2f}  {ratios[1]:10.2f}")


if __name__ == "__main__":
    with hardware.one_line_errors():
        main()
