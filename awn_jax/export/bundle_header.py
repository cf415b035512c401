"""Reading the header of a bundle: whatever it claims is held against the file and against itself before anything is made of it.

See `bundle` for the format.
"""

import dataclasses
import os
import pathlib
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

from awn_jax.export.bundle_layout import LARGEST_HEADER, VERSION, check_stored, digest, pieces, tensors
from awn_jax.export.checks import ExportError, field, number, parsed, several, table, text, whole, width
from awn_jax.export.kinds import check_kind, check_settings, check_shapes

MOST_STEPS = 1 << 14


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
    if metadata.get("header_sha256") != _digest(content) or "header_sha256" not in metadata:
        raise ExportError(f"{path} is damaged: its header has another checksum")
    where = str(path)
    network, blocks = (parsed(field(metadata, name, _json, where), where) for name in ("network", "blocks"))
    header = _network(network, where)
    header = dataclasses.replace(header, blocks=_blocks(blocks, header, 8 + length, where))
    listed = {name: entry for name, entry in content.items() if name != "__metadata__"}
    if listed != tensors([block.shapes for block in header.blocks]):
        raise ExportError(f"{path} is damaged: its tensors are not those of its blocks")
    return header


def _digest(content: Mapping[str, Any]) -> str | None:
    try:
        return digest(content)
    except RecursionError:
        # Nested so deeply that it can be read and not be written.
        return None


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
