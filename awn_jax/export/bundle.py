"""One file for several widths, in blocks ordered by width: its first part is a narrow network, the whole is the widest.

The file is a safetensors file. Its header's `__metadata__` holds

    awn_bundle   "1", the version of this format
    network      JSON: image_size, mean, std, and steps; each step has kind, inputs, name, settings
    blocks       JSON: for each block, in order: width, bytes, sha256
    header_sha256  of the header's JSON, keys sorted, no spaces, with this field empty

and its tensors, named `block/step/array`, lie block after block. A block holds what its width adds to the one before:
of a kernel [..., C, K] the new outputs [..., :C_new, K_old:K_new], of the head [C, pixels, K] the new channels
[C_old:C_new], of a bias its new entries; an array that does not grow is in the first block. What is in no block is zero.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from awn_jax.export.graph import ExportError, Graph, Step, unsupported

VERSION = "1"
LARGEST_HEADER = 64 << 20


@dataclasses.dataclass(frozen=True)
class Block:
    """One width's part of a bundle.

    Attributes:
        width: α.
        start, stop: where it lies in the file; the first `stop` bytes of the file are enough to run this width.
        sha256: of its bytes.
    """

    width: float
    start: int
    stop: int
    sha256: str


def save(graphs: Sequence[Graph], path: pathlib.Path) -> None:
    """Writes the networks of ascending widths of one model as a bundle.

    Args:
        graphs: of `ordinary`.
        path: of the file.

    Raises:
        ExportError: if the safetensors package is not installed, or the network has an operation that is not exported.
    """
    try:
        from safetensors.numpy import save as serialise
    except ImportError:
        raise ExportError("--to=bundle needs the safetensors package: pip install 'awn-jax[export]'") from None
    steps = [_description(step) for step in graphs[-1].steps]
    tensors: dict[str, np.ndarray] = {}
    blocks = []
    for number, graph in enumerate(graphs):
        before = graphs[number - 1] if number else None
        fresh = {}
        for at, step in enumerate(graph.steps):
            for name, array in step.arrays.items():
                region = _region(name, step, array.shape, before.steps[at].arrays[name].shape if before else None)
                if region is not None:
                    fresh[f"{number:04d}/{at:04d}/{name}"] = np.ascontiguousarray(array[region])
        # The order in which safetensors writes tensors of one type.
        raw = b"".join(fresh[key].tobytes() for key in sorted(fresh))
        blocks.append({"width": graph.width, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()})
        blocks[-1]["shapes"] = [[list(a.shape) for a in step.arrays.values()] for step in graph.steps]
        tensors |= fresh
    first = graphs[0]
    network = {"image_size": first.image_size, "mean": first.mean, "std": first.std, "steps": steps}
    metadata = {"awn_bundle": VERSION, "network": json.dumps(network), "blocks": json.dumps(blocks)}
    content = serialise(tensors, {**metadata, "header_sha256": "0" * 64})
    (length,) = struct.unpack("<Q", content[:8])
    digest = _header_digest(json.loads(content[8 : 8 + length]))
    header = content[8 : 8 + length].replace(b'"header_sha256":"' + b"0" * 64, b'"header_sha256":"' + digest.encode())
    path.write_bytes(content[:8] + header + content[8 + length :])


def blocks(path: pathlib.Path) -> tuple[Block, ...]:
    """What a bundle, or the first part of one, says that it holds.

    Raises:
        ExportError: if the header is damaged, incomplete, or none of a bundle.
    """
    with path.open("rb") as file:
        return _Header(file, path).blocks


def load(path: pathlib.Path, width: float | None = None) -> Graph:
    """Reads a network from a bundle; for a narrow one, the file's first part is enough.

    Args:
        path: of the file.
        width: one of those that the bundle holds; None for the widest, which demands the whole file.

    Raises:
        ExportError: if the file is damaged or too short, is no bundle, or does not hold this width.
    """
    with path.open("rb") as file:
        header = _Header(file, path)
        held = [block.width for block in header.blocks]
        if width is not None and width not in held:
            raise ExportError(f"width must be one that {path} holds, {', '.join(map(str, held))}; got {width}")
        count = len(held) if width is None else held.index(width) + 1
        size, end = os.fstat(file.fileno()).st_size, header.blocks[-1].stop
        if size > end:
            raise ExportError(f"{path} is damaged: it must have {end:,} bytes, got {size:,}")
        raw = []
        for block in header.blocks[:count]:
            if size < block.stop:
                raise ExportError(
                    f"{path} is cut off: width {block.width} needs its first {block.stop:,} bytes, it has {size:,}"
                )
            raw.append(file.read(block.stop - block.start))
            if hashlib.sha256(raw[-1]).hexdigest() != block.sha256:
                raise ExportError(f"{path} is damaged: the block of width {block.width} has another checksum")
    return header.assemble(b"".join(raw), count)


class _Header:
    """The header of a file, checked."""

    def __init__(self, file: BinaryIO, path: pathlib.Path):
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if not 2 <= length <= LARGEST_HEADER:
            raise ExportError(f"{path} is not a bundle: it does not begin with the length of a header")
        raw = file.read(length)
        if len(raw) < length:
            raise ExportError(f"{path} is cut off: its header has {length:,} bytes, {len(raw):,} are there")
        try:
            header = json.loads(raw)
            metadata = header["__metadata__"]
            version = metadata["awn_bundle"]
        except (ValueError, KeyError, TypeError):
            raise ExportError(f"{path} is not a bundle, or its header is damaged") from None
        if version != VERSION:
            raise ExportError(f"{path} is a bundle of version {version}, this library reads version {VERSION}")
        if metadata.get("header_sha256") != _header_digest(header):
            raise ExportError(f"{path} is damaged: its header has another checksum")
        self.network, self._listed = json.loads(metadata["network"]), json.loads(metadata["blocks"])
        self._tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        stops = np.cumsum([8 + length, *(block["bytes"] for block in self._listed)]).tolist()
        self.blocks = tuple(
            Block(block["width"], start, stop, block["sha256"])
            for block, start, stop in zip(self._listed, stops, stops[1:], strict=False)
        )

    def assemble(self, data: bytes, count: int) -> Graph:
        """The network of the first `count` blocks."""
        steps = []
        for at, (described, shapes) in enumerate(
            zip(self.network["steps"], self._listed[count - 1]["shapes"], strict=True)
        ):
            step = Step(described["kind"], tuple(described["inputs"]), described["name"], {}, described["settings"])
            arrays = {}
            for index, (name, shape) in enumerate(zip(described["arrays"], shapes, strict=True)):
                arrays[name] = np.zeros(shape, np.float32)
                old: tuple[int, ...] | None = None
                for number in range(count):
                    new = tuple(self._listed[number]["shapes"][at][index])
                    region = _region(name, step, new, old)
                    if region is not None:
                        begin, end = self._tensors[f"{number:04d}/{at:04d}/{name}"]["data_offsets"]
                        values = np.frombuffer(data[begin:end], "<f4")
                        arrays[name][region] = values.reshape(arrays[name][region].shape)
                    old = new
            steps.append(dataclasses.replace(step, arrays=arrays))
        network = self.network
        height, width, planes = network["image_size"]
        mean, std = tuple(network["mean"]), tuple(network["std"])
        return Graph((height, width, planes), tuple(steps), self.blocks[count - 1].width, mean, std)


def _region(name: str, step: Step, shape: Sequence[int], before: Sequence[int] | None) -> tuple[slice, ...] | None:
    """Where, in an array of this shape, lies what was not in the narrower one; None if nothing is new."""
    whole = tuple(slice(size) for size in shape)
    if before is None:
        return whole
    grown = [axis for axis, (old, new) in enumerate(zip(before, shape, strict=True)) if new > old]
    if not grown:
        return None
    # Old outputs do not read new inputs, so the last axis to grow says it all.
    axis = grown[-1]
    return (*whole[:axis], slice(before[axis], shape[axis]), *whole[axis + 1 :])


def _description(step: Step) -> dict[str, Any]:
    if step.kind == "other":
        raise unsupported(step, "bundle")
    described = {"kind": step.kind, "inputs": step.inputs, "name": step.name, "settings": dict(step.settings)}
    return {**described, "arrays": list(step.arrays)}


def _header_digest(header: dict[str, Any]) -> str:
    blank = {**header, "__metadata__": {**header["__metadata__"], "header_sha256": ""}}
    return hashlib.sha256(json.dumps(blank, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
