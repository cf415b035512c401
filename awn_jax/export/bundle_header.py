"""The header of a bundle: what lies where in the file. See `bundle` for the format.

Whatever a header claims is held against the file and against itself before anything is made of it.
"""

import dataclasses
import hashlib
import json
import math
import os
import pathlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from awn_jax.export.checks import ExportError, field, number, parsed, several, table, text, whole, width
from awn_jax.export.kinds import check_kind, check_settings, check_shapes

VERSION = "2"
LARGEST_HEADER = 64 << 20
MOST_STEPS = 1 << 14
# How many times as large as what a file stores of them arrays may be, which are zero elsewhere, and how large in any case.
MOST_ZEROS, SMALL = 64, 1 << 18

Shapes = Sequence[Mapping[str, tuple[int, ...]]]


@dataclasses.dataclass(frozen=True)
class Block:
    """One width's part of a bundle.

    Attributes:
        width: α.
        start, stop: where it lies in the file; the first `stop` bytes of the file are enough to run this width.
        sha256: of its bytes.
        settings: of each step at this width.
        shapes: of each step's arrays at this width.
    """

    width: float
    start: int
    stop: int
    sha256: str
    settings: tuple[Mapping[str, Any], ...] = dataclasses.field(repr=False)
    shapes: tuple[Mapping[str, tuple[int, ...]], ...] = dataclasses.field(repr=False)


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
    header |= _tensors([[step["shapes"] for step in block["steps"]] for block in blocks])
    header["__metadata__"]["header_sha256"] = digest(header)
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    if len(raw) > LARGEST_HEADER:
        raise ExportError(f"the header of a bundle must have at most {LARGEST_HEADER:,} bytes, this one has {len(raw):,}")
    return struct.pack("<Q", len(raw)) + raw


def _tensors(shapes: Sequence[Shapes]) -> dict[str, Any]:
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


@dataclasses.dataclass(frozen=True)
class Header:
    """A header that has been checked.

    Attributes:
        image_size: height, width and planes.
        mean, std: of each plane, or nothing.
        kinds, inputs, names: of each step.
        blocks: in the order of the file.
    """

    image_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    kinds: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    blocks: tuple[Block, ...]


def read(file: BinaryIO, path: pathlib.Path) -> Header:
    """Reads and checks the header of a file that is open at its beginning.

    Raises:
        ExportError: if it is damaged, incomplete, or none of a bundle.
    """
    size, prefix = os.fstat(file.fileno()).st_size, file.read(8)
    length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
    if not 2 <= length <= LARGEST_HEADER:
        raise ExportError(f"{path} is not a bundle: it does not begin with the length of a header")
    if size < 8 + length:
        raise ExportError(f"{path} is cut off: its header has {length:,} bytes, {size - 8:,} are there")
    content = parsed(file.read(length), str(path))
    metadata = content.get("__metadata__") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(metadata, dict) or "awn_bundle" not in metadata:
        raise ExportError(f"{path} is not a bundle, or its header is damaged")
    if metadata["awn_bundle"] != VERSION:
        raise ExportError(f"{path} is a bundle of version {metadata['awn_bundle']!s:.20}, this library reads {VERSION}")
    if metadata.get("header_sha256") != digest(content):
        raise ExportError(f"{path} is damaged: its header has another checksum")
    where = str(path)
    network, blocks = (parsed(field(metadata, name, _json, where), where) for name in ("network", "blocks"))
    header = _network(network, where)
    header = dataclasses.replace(header, blocks=_blocks(blocks, header, 8 + length, where))
    tensors = {name: entry for name, entry in content.items() if name != "__metadata__"}
    if tensors != _tensors([block.shapes for block in header.blocks]):
        raise ExportError(f"{path} is damaged: its tensors are not those of its blocks")
    return header


def _json(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a string of JSON")
    return value


def _network(content: Any, where: str) -> Header:
    network = field({"network": content}, "network", table, where)
    size = field(network, "image_size", several(whole(1, 1 << 20), 3, 3), where)
    mean, std = (tuple(map(float, field(network, name, several(number), where))) for name in ("mean", "std"))
    if not {len(mean), len(std)} <= {0, size[2]} or len(mean) != len(std) or not all(s > 0 for s in std):
        raise ExportError(f"{where}: mean and std must have one number for each of {size[2]} planes, std above 0")
    kinds, inputs, names = [], [], []
    for at, step in enumerate(field(network, "steps", several(table, 1, MOST_STEPS), where)):
        inputs.append(field(step, "inputs", several(whole(0, at)), f"{where}: step {at}"))
        kinds.append(check_kind(step.get("kind"), len(inputs[-1]), f"{where}: step {at}"))
        names.append(field(step, "name", text, f"{where}: step {at}"))
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise ExportError(f"{where}: names of steps must differ")
    return Header((size[0], size[1], size[2]), mean, std, tuple(kinds), tuple(inputs), tuple(names), ())


def _blocks(content: Any, header: Header, start: int, where: str) -> tuple[Block, ...]:
    found: list[Block] = []
    stored = 0
    for entry in field({"blocks": content}, "blocks", several(table, 1, MOST_STEPS), where):
        at = field(entry, "width", width, where)
        sha256 = field(entry, "sha256", text, where)
        count = len(header.kinds)
        steps = field(entry, "steps", several(table, count, count), where)
        settings, shapes = [], []
        for kind, inputs, name, step in zip(header.kinds, header.inputs, header.names, steps, strict=True):
            place = f"{where}: {name or kind} at width {at:g}"
            settings.append(check_settings(kind, field(step, "settings", table, place), len(inputs), place))
            shapes.append(check_shapes(kind, field(step, "shapes", table, place), place))
        if found and at <= found[-1].width:
            raise ExportError(f"{where}: widths of blocks must ascend, got {at:g} after {found[-1].width:g}")
        size = sum(piece.bytes for piece in pieces(shapes, found[-1].shapes if found else None))
        field(entry, "bytes", whole(size, size), where)
        stored += size
        check_stored(shapes, stored)
        found.append(Block(at, start, start + size, sha256, tuple(settings), tuple(shapes)))
        start += size
    return tuple(found)
