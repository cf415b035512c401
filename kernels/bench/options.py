"""Flags that several of the benchmarks take."""

import argparse
import math
import time

from ..shapes import Shape, find
from ..timing import Clock

ROUNDS = 15
WITHOUT_YNN = {"xla_cpu_experimental_ynn_fusion_type": ""}


def make_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Returns a parser for `python -m module`, which shows the module's docstring as it is."""
    layout = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=f"python -m {module}", description=description, formatter_class=layout)


def add_shapes(parser: argparse.ArgumentParser) -> None:
    """Adds `--shapes`, a list of `Shape` or None."""
    parser.add_argument("--shapes", nargs="+", type=_shape, metavar="NAME", help="named shapes, instead of all")


def add_timing(parser: argparse.ArgumentParser) -> None:
    """Adds how to time: `--rounds`, an integer or None, and what `clock` and `compiler_options` read."""
    parser.add_argument("--rounds", type=_count, help=f"samples of each candidate (default: {ROUNDS})")
    parser.add_argument("--cpu-seconds", action="store_true", help="time threads, not the wall: for a busy machine")
    parser.add_argument("--without-ynn", action="store_true", help="keep XLA on a CPU from handing work to YNNPACK")


def clock(args: argparse.Namespace) -> Clock:
    """Returns what counts seconds."""
    return time.process_time if args.cpu_seconds else time.perf_counter


def compiler_options(args: argparse.Namespace) -> dict[str, str]:
    """Returns the compiler options for every candidate."""
    return WITHOUT_YNN if args.without_ynn else {}


def _shape(name: str) -> Shape:
    try:
        return find(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def seconds(text: str) -> float:
    """The type of a flag for how long."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0 and finite, got {text}")
    return number


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    if count >= 1 << 31:
        raise argparse.ArgumentTypeError(f"must be below {1 << 31}, got {text}")
    return count
