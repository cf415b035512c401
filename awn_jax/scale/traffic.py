"""Bytes that a program compiled for a TPU reads from the chip's memory (HBM) and writes to it.

The compiler counts bytes too, but with them those that stay in the small memory beside the arithmetic units (VMEM), which is
some twenty times as fast. Layouts say where each array lies: those in VMEM hold the mark S(1).
"""

import math
import re

from awn_jax.scale import hlo

_VMEM = "S(1)"
# These give another name to what is there, or have been counted where they began.
_NOTHING = {
    "parameter",
    "get-tuple-element",
    "tuple",
    "bitcast",
    "constant",
    "while",
    "conditional",
    "call",
    "after-all",
}
# These move as much as the smaller of the first two arrays that they name, from one memory to the other.
_MOVES = {"copy-start", "slice-start"}


def read(text: str) -> int:
    """Bytes of one call of a program, each operand and result of a (fused) instruction counted once, see `hlo.run`.

    Args:
        text: of the compiled program.
    """
    total = 0
    for one in hlo.run(text, inside=False):
        if one.op in _NOTHING or one.op.endswith("-done"):
            continue
        if one.op in _MOVES:
            ends = one.arrays[:2]
            moved = min(map(padded, ends)) * sum(_VMEM not in end.layout for end in ends)
        else:
            touched = (*one.arrays, *(array for operand in one.operands for array in operand))
            moved = sum(padded(array) for array in touched if _VMEM not in array.layout)
        total += one.times * moved
    return total


def padded(array: hlo.Array) -> int:
    """Bytes that an array takes, its fastest axes filled up to whole tiles, as T(8,128) says."""
    order, tile = re.match(r"([\d,]*)", array.layout), re.search(r"T\(([\d,]+)\)", array.layout)
    if not (order and order[1] and tile):
        return array.bytes
    shape = list(array.shape)
    fastest = [int(axis) for axis in order[1].split(",")]
    for axis, side in zip(fastest, reversed([int(side) for side in tile[1].split(",")]), strict=False):
        shape[axis] = -(-shape[axis] // side) * side
    return math.prod(shape) * array.bits // 8
