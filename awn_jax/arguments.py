"""Types of command-line arguments, and arguments that several commands have, for `argparse`."""

import argparse
import math
import pathlib
import re
from collections.abc import Callable
from fractions import Fraction

from awn_jax import hosts, widths


def width(text: str) -> float:
    """A width in (0, 1], as a decimal or a fraction such as 1/3."""
    try:
        return float(widths.exact_width(Fraction(text)))
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"width must be a number in (0, 1], got {text}") from None


def positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    """A finite number above 0; a whole one below 2³¹."""

    def parse(text: str) -> int | float:
        number = kind(text)
        if not 0 < number < math.inf:
            raise argparse.ArgumentTypeError(f"must be above 0 and finite, got {text}")
        if kind is int and number >= 1 << 31:
            raise argparse.ArgumentTypeError(f"must be below {1 << 31}, got {text}")
        return number

    # What argparse calls it where the text is no number.
    parse.__name__ = kind.__name__
    return parse


def add_multihost(parser: argparse.ArgumentParser) -> None:
    """Adds the flags by which several processes train one network."""
    group = parser.add_argument_group("several hosts")
    group.add_argument(
        "--multihost", action="store_true", help="join the other processes of this run before anything else"
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0; found by itself on TPU and Slurm")
    group.add_argument("--processes", type=int, metavar="N", help="how many there are, with --coordinator")
    group.add_argument("--process", type=int, metavar="I", help="number of this one from 0, with --coordinator")
    group.add_argument(
        "--join-seconds",
        type=positive(int),
        default=hosts.JOIN_SECONDS,
        metavar="S",
        help="how long to wait until all have joined (default: %(default)s)",
    )


def check_multihost(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    """Ends with an error unless those flags fit together."""
    given = {name: getattr(parsed, name) for name in ("coordinator", "processes", "process")}
    there = [f"--{name}" for name, value in given.items() if value is not None]
    if there and not parsed.multihost:
        parser.error(f"{', '.join(there)} must come with --multihost")
    if there and len(there) < 3:
        parser.error(f"--coordinator, --processes and --process must be given together, got {', '.join(there)}")
    if parsed.coordinator and not re.fullmatch(r"(\[[^]]+\]|[^:]+):\d{1,5}", parsed.coordinator):
        parser.error(f"--coordinator must be HOST:PORT, got {parsed.coordinator}")
    if parsed.coordinator and not 1 <= int(parsed.coordinator.rpartition(":")[2]) < 1 << 16:
        parser.error(f"--coordinator must have a port in [1, 65535], got {parsed.coordinator}")
    if there and not (parsed.processes >= 1 and 0 <= parsed.process < parsed.processes):
        parser.error(f"--process must be in [0, --processes), got {parsed.process} of {parsed.processes}")


def seed(text: str) -> int:
    """A seed, as `train.seed` takes it."""
    number = int(text)
    if not 0 <= number < 1 << 32:
        raise argparse.ArgumentTypeError(f"must be from 0 to {(1 << 32) - 1}, got {text}")
    return number


def image_size(text: str) -> tuple[int, ...]:
    """Height, width and planes, as 224,224,3."""
    try:
        size = tuple(map(int, text.split(",")))
    except ValueError:
        size = ()
    if len(size) != 3 or min(size) < 1:
        raise argparse.ArgumentTypeError(f"must be height, width and planes, as 224,224,3, got {text}")
    return size


PICTURES = (".png", ".pdf", ".svg", ".jpg")


def picture(text: str) -> pathlib.Path:
    """A file for a picture, whose name says the format."""
    path = pathlib.Path(text).expanduser()
    if path.suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(f"must end with one of {', '.join(PICTURES)}, got {text}")
    return path
