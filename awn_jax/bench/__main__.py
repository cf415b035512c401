"""How fast one pass for all widths is, measured side by side in one process.

    python -m awn_jax.bench              # the real step: batch 128 of Fashion-MNIST's shape, the paper's small network
    python -m awn_jax.bench --torch      # also a PyTorch step of the same work, if torch is installed
    python -m awn_jax.bench --config=FILE --image-size 32 32 3 --config.model.grid=32 --batch-size=32

Rounds of A B C …, A B C …, so that a change of the machine's speed meets all alike; ratios are medians over rounds. The last
line is JSON: `nested_vs_full`, `nested_vs_sequential`, `sweep_vs_full` (times relative to the second named; below 1 is faster)
and `step_seconds` of the nested step.
"""

import argparse
import json
import statistics
import sys

from awn_jax import arguments as types
from awn_jax import config as configs
from awn_jax import hardware, models
from awn_jax.bench import candidates, torch_rival, turns


def parse_arguments(argv: list[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    count = types.positive(int)
    parser.add_argument("--config", metavar="FILE[:METHOD]", help="of the network (default: the paper's small one)")
    parser.add_argument(
        "--image-size", nargs=3, type=count, metavar="N", help="height, width, planes (default: 28 28 1)"
    )
    parser.add_argument("--classes", type=count, default=10, help="(default: 10)")
    parser.add_argument("--batch-size", type=count, default=128, help="of the training step (default: 128)")
    parser.add_argument("--channels", type=count, help="of each layer of the paper's small network (default: 45)")
    parser.add_argument("--rounds", type=count, default=15, help="how often each is timed (default: 15)")
    parser.add_argument("--torch", action="store_true", help="time a PyTorch step of four widths as well")
    parser.add_argument("--torch-threads", type=count, default=2, help="threads of that step (default: 2)")
    given, changes = configs.take_changes(argv)
    parsed = parser.parse_args(given)
    if parsed.config and (parsed.channels or parsed.torch):
        parser.error("--channels and --torch are of the paper's small network, and cannot be given with --config")
    if parsed.channels:
        changes = {"model.channels": str(parsed.channels), **changes}
    return parsed, {**changes, "train.batch_size": str(parsed.batch_size)}


def main(argv: list[str]) -> None:
    parsed, changes = parse_arguments(argv)
    if parsed.config:
        config = configs.read(parsed.config, changes)
    else:
        config = configs.parse(configs.changed(configs.default(models.DEFAULT), changes))
    hardware.start()
    size = tuple(parsed.image_size or models.DEFAULT_IMAGE_SIZE)
    height, width, planes = size
    steps = candidates.steps(config, (height, width, planes), parsed.classes)
    if parsed.torch:
        try:
            steps["PyTorch, four widths"] = torch_rival.make_torch_step(
                parsed.batch_size, parsed.channels or 45, parsed.torch_threads
            )
        except ModuleNotFoundError:
            hardware.fail("--torch needs PyTorch, which is not installed here")
    seconds = turns.interleaved(steps, parsed.rounds)
    seconds |= turns.interleaved(candidates.sweeps(config, (height, width, planes), parsed.classes), parsed.rounds)
    print(f"{hardware.describe_device()}, jax {hardware.describe_software()['jax']}, ", end="")
    print(
        f"{config.model.name}, batch {parsed.batch_size}, images {height} × {width} × {planes}, {parsed.rounds} rounds"
    )
    print(f"{'':24}  {'median ms':>9}  {'least ms':>9}  {'most ms':>9}")
    for name, times in seconds.items():
        print(f"{name:24}  {1e3 * statistics.median(times):9.1f}  {1e3 * min(times):9.1f}  {1e3 * max(times):9.1f}")
    nested, sequential = "all widths, nested", "four widths, sequential"
    result = {
        "nested_vs_full": turns.ratio(seconds, nested, "full width only"),
        "nested_vs_sequential": turns.ratio(seconds, nested, sequential),
        "sweep_vs_full": turns.ratio(seconds, "sweep of all widths", "sweep of full width"),
        "step_seconds": statistics.median(seconds[nested]),
    }
    if parsed.torch:
        result["nested_vs_torch"] = turns.ratio(seconds, nested, "PyTorch, four widths")
    print(json.dumps({name: round(value, 5) for name, value in result.items()}))


if __name__ == "__main__":
    with hardware.one_line_errors():
        main(sys.argv[1:])
