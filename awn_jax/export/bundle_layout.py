"""What lies where in a bundle. See `bundle` for the format."""

import dataclasses
import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from awn_jax.export.checks import ExportError

VERSION = "2"
LARGEST_HEADER = 64 << 20
# How many times as large as what a file stores of them arrays may be, which are zero elsewhere, and how large in any case.
MOST_ZEROS, SMALL = 64, 1 << 18

# Of the arrays of each step.
Shapes = Sequence[Mapping[str, tuple[int, ...]]]


@dataclasses.dataclass(frozen=True)
class Piece:
    """What one block holds of an array.

    Attributes:
        step: number of the step, counted from 0.
        array: its name.
        region: where it lies in the array at the block's width.
    """

    step: int
    array: str
    region: tuple[slice, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(part.stop - part.start for part in self.region)

    @property
    def bytes(self) -> int:
        return 4 * math.prod(self.shape)

    def key(self, block: int) -> str:
        """The name of the tensor."""
        return f"{block:04d}/{self.step:04d}/{self.array}"


def pieces(shapes: Shapes, before: Shapes | None) -> Iterator[Piece]:
    """What a block holds, in the order in which it lies there.

    Args:
        shapes: of the arrays of each step.
        before: at the width of the block in front of it; None for the first.

    Raises:
        ExportError: if an array is smaller than it was.
    """
    for step, arrays in enumerate(shapes):
        for name, shape in arrays.items():
            old = (0,) * len(shape) if before is None else before[step][name]
            if any(a > b for a, b in zip(old, shape, strict=True)):
                raise ExportError(f"arrays of a bundle must grow with the width, step {step} has {old}, then {shape}")
            grown = [axis for axis, sizes in enumerate(zip(old, shape, strict=True)) if sizes[0] < sizes[1]]
            if grown:
                # Old outputs do not read new inputs, so the last axis to grow says it all.
                starts = [old[axis] if axis == grown[-1] else 0 for axis in range(len(shape))]
                yield Piece(step, name, tuple(map(slice, starts, shape)))


def check_stored(shapes: Shapes, stored: int) -> None:
    """Raises ExportError if arrays would take far more memory than what a file stores of them, in bytes."""
    size = sum(4 * math.prod(shape) for arrays in shapes for shape in arrays.values())
    if size > MOST_ZEROS * stored + SMALL:
        raise ExportError(f"arrays of {size:,} bytes must not be made of {stored:,} stored ones")


def encoded(network: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]]) -> bytes:
    """The header of a file.

    Args:
        network: as `bundle` describes it.
        blocks: likewise.

    Raises:
        ExportError: if it is too large.
    """
    header: dict[str, Any] = {"__metadata__": {"awn_bundle": VERSION, "network": json.dumps(network)}}
    header["__metadata__"] |= {"blocks": json.dumps(blocks), "header_sha256": ""}
    header |= tensors([[step["shapes"] for step in block["steps"]] for block in blocks])
    header["__metadata__"]["header_sha256"] = digest(header)
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    if len(raw) > LARGEST_HEADER:
        raise ExportError(
            f"the header of a bundle must have at most {LARGEST_HEADER:,} bytes, this one has {len(raw):,}"
        )
    return struct.pack("<Q", len(raw)) + raw


def tensors(shapes: Sequence[Shapes]) -> dict[str, Any]:
    """The entries of all tensors, in the order in which they lie in the file."""
    entries, start = {}, 0
    for block, arrays in enumerate(shapes):
        for piece in pieces(arrays, shapes[block - 1] if block else None):
            offsets = [start, start + piece.bytes]
            entries[piece.key(block)] = {"dtype": "F32", "shape": list(piece.shape), "data_offsets": offsets}
            start = offsets[1]
    return entries


def digest(header: Mapping[str, Any]) -> str:
    """The checksum of a header."""
    blank = {**header, "__metadata__": {**header["__metadata__"], "header_sha256": ""}}
    return hashlib.sha256(json.dumps(blank, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
