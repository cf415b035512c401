"""Trains one any-width network, so that it runs at every width, and sweeps them.

    python train.py --config=configs/lenet_fmnist.py --workdir=runs/lenet_fmnist --config.train.epochs=3

The workdir holds the config, metrics.jsonl, checkpoints and the final sweep. The same command goes on where a run was cut off,
and ends where it would have ended. Fields of the config are set as --config.SECTION.FIELD=VALUE; awn_jax/config/schema.py says
what each means. A config is a Python file, and is run.
"""

import argparse
import pathlib
import sys

import awn_jax
from awn_jax import arguments, config, hardware


def parse_arguments(argv: list[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--config", required=True, metavar="FILE[:METHOD]", help=f"of configs/; METHOD: {', '.join(config.METHODS)}"
    )
    parser.add_argument(
        "--workdir", metavar="DIR", help="for checkpoints, metrics and the sweep (default: runs/<config>)"
    )
    arguments.add_multihost(parser)
    given, changes = config.take_changes(argv)
    parsed = parser.parse_args(given)
    arguments.check_multihost(parser, parsed)
    return parsed, changes


def main(argv: list[str]) -> None:
    parsed, changes = parse_arguments(argv)
    path, method = config.locate(parsed.config)
    name = "_".join(filter(None, (path.stem, method)))
    settings = config.read(parsed.config, changes)
    hardware.start()
    if parsed.multihost:
        hardware.join(parsed.coordinator, parsed.processes, parsed.process)

    workdir = parsed.workdir or pathlib.Path("runs") / name
    awn_jax.train(settings, workdir, on_device=False if parsed.multihost else None)


if __name__ == "__main__":
    with hardware.one_line_errors():
        main(sys.argv[1:])
