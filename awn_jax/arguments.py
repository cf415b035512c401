"""Types of command-line arguments, for `argparse`."""

import argparse
from collections.abc import Callable

from awn_jax import widths


def width(text: str) -> float:
    """A width in (0, 1]."""
    try:
        return float(widths.exact_width(float(text)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    """A number above 0."""

    def parse(text: str) -> float:
        number = kind(text)
        if not number > 0:
            raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
        return number

    # What argparse calls it where the text is no number.
    parse.__name__ = kind.__name__
    return parse
