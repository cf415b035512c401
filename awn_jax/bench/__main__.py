"""How fast one pass for all widths is, measured side by side in one process.

    python -m awn_jax.bench              # the paper's small network, then MobileNetV2 and ResNet-18: ten minutes on two cores
    python -m awn_jax.bench --models     # the small network alone: batch 128 of Fashion-MNIST's shape
    python -m awn_jax.bench --torch      # also a PyTorch step of the same work, if torch is installed
    python -m awn_jax.bench --config=FILE --image-size 32 32 3 --config.model.grid=32 --batch-size=32

Rounds of A B C …, A B C …, so that a change of the machine's speed meets all alike; ratios are medians over rounds. Programs
are compiled anew. The last line is JSON: `nested_vs_full`, `nested_vs_sequential`, `sweep_vs_full` (times relative to the
second named; below 1 is faster), `compile_vs_full`, `memory_vs_full` (peak memory besides state and images, as the compiler
plans it), `step_seconds` and `compile_seconds` of the nested step; `models` holds the same of the other networks.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax

from awn_jax import arguments as types
from awn_jax import config as configs
from awn_jax import hardware, models
from awn_jax.bench import networks, torch_rival
from awn_jax.bench.measure import measured

SWEEP_BATCH = 1000


def parse_arguments(argv: list[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    count = types.positive(int)
    parser.add_argument(
        "--config", metavar="FILE[:METHOD]", help="of the only network (default: the paper's small one)"
    )
    parser.add_argument(
        "--models",
        nargs="*",
        choices=networks.NETWORKS,
        metavar="NAME",
        help=f"networks after it, none or some of {', '.join(networks.NETWORKS)} (default: all, without --config)",
    )
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
    if parsed.models is None:
        parsed.models = [] if parsed.config else list(networks.NETWORKS)
    return parsed, {**changes, "train.batch_size": str(parsed.batch_size)}


def main(argv: list[str]) -> None:
    parsed, changes = parse_arguments(argv)
    if parsed.config:
        config = configs.read(parsed.config, changes)
    else:
        config = configs.parse(configs.changed(configs.default(models.DEFAULT), changes))
    hardware.start()
    # What compiling takes is measured too.
    jax.config.update("jax_enable_compilation_cache", False)
    others: dict[str, Callable[[], None]] = {}
    if parsed.torch:
        try:
            others["torch"] = torch_rival.make_torch_step(
                parsed.batch_size, parsed.channels or 45, parsed.torch_threads
            )
        except ModuleNotFoundError:
            hardware.fail("--torch needs PyTorch, which is not installed here")
    print(f"{hardware.describe_device()}, jax {hardware.describe_software()['jax']}, {parsed.rounds} rounds")
    height, width, planes = parsed.image_size or models.DEFAULT_IMAGE_SIZE
    size = (height, width, planes)
    _announce(config.model.name, config, size)
    result: dict[str, Any] = measured(
        config, size, parsed.classes, sweep_batch=SWEEP_BATCH, rounds=parsed.rounds, others=others
    )
    found = {}
    for name in parsed.models:
        config = networks.config(name)
        _announce(name, config, networks.IMAGE_SIZE)
        found[name] = measured(
            config, networks.IMAGE_SIZE, networks.CLASSES, sweep_batch=networks.SWEEP_BATCH, rounds=parsed.rounds
        )
    print(
        json.dumps(_rounded(result) | ({"models": {name: _rounded(of) for name, of in found.items()}} if found else {}))
    )


def _announce(name: str, config: configs.Config, size: tuple[int, int, int]) -> None:
    height, width, planes = size
    print(f"\n{name}, batch {config.train.batch_size}, images {height} × {width} × {planes}", flush=True)


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in values.items()}


if __name__ == "__main__":
    with hardware.one_line_errors():
        main(sys.argv[1:])
