"""Compiles the training step of a config for a slice of TPU chips, and says what it would cost there.

    python -m awn_jax.scale --topology=v5e:16x16 --config=configs/resnet50_imagenet.py --batch-size=32768
    python -m awn_jax.scale --topology=v5e:2x2 --config=configs/mobilenet_v2_imagenet.py --config.train.compute=bfloat16
    python -m awn_jax.scale --topology=v5e:4x4 --config=configs/lenet_mnist.py --image-size=28,28,1 --classes=10

No TPU is needed and no image is read: the compiler comes with libtpu (pip install libtpu), and is given shapes. It says how
much memory a chip needs, and what it computes, reads, writes and sends to others in a step. Seconds are an estimate, from these
counts and the chips' published peaks: the step has not run. The last line is JSON. See docs/scale.md.
"""

import argparse
import importlib.metadata
import json
import pathlib
import sys

import jax

from awn_jax import arguments as types
from awn_jax import config as configs
from awn_jax import hardware
from awn_jax import run as runs
from awn_jax.config import ConfigError
from awn_jax.scale import report, slices
from awn_jax.scale.program import compile_step
from awn_jax.scale.roofline import estimate
from awn_jax.tasks import Classification


def parse_arguments(argv: list[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    count = types.positive(int)
    parser.add_argument(
        "--topology", required=True, type=slices.parse, metavar="CHIP:AxB", help="the slice, as v5e:2x2 or v5e:16x16"
    )
    parser.add_argument(
        "--config", required=True, metavar="FILE[:METHOD]", help="of a network that tells classes apart"
    )
    parser.add_argument("--batch-size", type=count, metavar="N", help="of all chips together (default: the config's)")
    parser.add_argument(
        "--image-size", type=types.image_size, metavar="H,W,P", help="(default: the config's, and three planes)"
    )
    parser.add_argument("--classes", type=count, default=1000, metavar="N", help="(default: 1000)")
    parser.add_argument(
        "--shard-optimizer", action="store_true", help="share the optimiser's state out, as train.shard_optimizer does"
    )
    given, changes = configs.take_changes(argv)
    parsed = parser.parse_args(given)
    for flag, name in (("batch_size", "train.batch_size"), ("shard_optimizer", "train.shard_optimizer")):
        if (value := getattr(parsed, flag)) and name in changes:
            parser.error(f"--config.{name} cannot be given: --{flag.replace('_', '-')} says it")
        changes |= {name: str(value)} if value else {}
    return parsed, changes


def main(argv: list[str]) -> None:
    parsed, changes = parse_arguments(argv)
    config = configs.read(parsed.config, changes)
    if config.task != Classification.name:
        raise ConfigError(
            f"task must be {Classification.name!r}: images of other tasks come with more, got {config.task!r}"
        )
    hardware.start()
    # What compiling takes is told too.
    jax.config.update("jax_enable_compilation_cache", False)
    run = runs.Run(pathlib.Path(), config, facts(config, parsed.image_size, parsed.classes))
    mesh = parsed.topology.mesh()
    print(report.heading(run, parsed.topology), flush=True)
    program = compile_step(run, mesh)
    images = config.train.batch_size // mesh.size
    expected = estimate(program.flops, program.bytes, program.sent, images, parsed.topology)
    print(f"compiled in {program.seconds:.0f} s by libtpu {importlib.metadata.version('libtpu')}, never run")
    print(report.table(program, expected, parsed.topology))
    print(json.dumps(report.values(program, expected, parsed.topology)))


def facts(config: configs.Config, image_size: tuple[int, int, int] | None, classes: int) -> runs.Facts:
    """What is known of images that are not there.

    Args:
        config: of the run.
        image_size: height, width and planes; None for what the config brings images to.
        classes: their number.

    Raises:
        ConfigError: if neither says the size.
    """
    sides, planes = config.data.image_size, len(config.data.mean) or 3
    if image_size is None and not sides:
        raise ConfigError("--image-size must be given, as 32,32,3, where data.image_size is empty")
    size = image_size or (sides[0], sides[-1], planes)
    mean, std = config.data.mean or (0.5,) * size[2], config.data.std or (0.25,) * size[2]
    return runs.Facts(size, classes, (), mean, std, fingerprint="", count=0)


if __name__ == "__main__":
    with hardware.one_line_errors():
        main(sys.argv[1:])
