"""Windows that move over images: their sizes, strides and padding as people write them."""

import operator
from collections.abc import Sequence
from typing import Any, Literal

Pads = tuple[tuple[int, int], tuple[int, int]]
Padding = Literal["SAME", "VALID"] | int | Sequence[tuple[int, int]] | Sequence[Sequence[int]]


def pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    """Rows and columns.

    Args:
        value: both, or one number for both.
        name: what to call it in an error.

    Raises:
        ValueError: unless they are whole numbers of at least 1.
    """
    try:
        rows, columns = map(operator.index, value if isinstance(value, Sequence) else (value, value))
    except (TypeError, ValueError):
        rows = columns = 0
    if min(rows, columns) < 1:
        raise ValueError(f"{name} must be one or two whole numbers of at least 1, got {value!r}")
    return rows, columns


def pads(padding: Padding) -> Literal["SAME", "VALID"] | Pads:
    """`SAME`, `VALID`, or ((top, bottom), (left, right)) in pixels.

    Args:
        padding: one of these, or one number for all four sides.

    Raises:
        ValueError: if it is none of these.
    """
    if padding == "SAME" or padding == "VALID":
        return padding
    sides: Any = ((padding, padding), (padding, padding)) if isinstance(padding, int) else padding
    try:
        (top, bottom), (left, right) = ((operator.index(low), operator.index(high)) for low, high in sides)
    except (TypeError, ValueError):
        top = bottom = left = right = -1
    if min(top, bottom, left, right) < 0:
        raise ValueError(
            f'padding must be "SAME", "VALID", a number of pixels or ((top, bottom), (left, right)), got {padding!r}'
        )
    return (top, bottom), (left, right)
