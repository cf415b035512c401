"""One file for several widths, in blocks ordered by width: its first part is a narrow network, the whole is the widest.

The file is a safetensors file. Its header's `__metadata__` holds

    awn_bundle   "2", the version of this format
    network      JSON: image_size, mean, std, and steps; each step has kind, inputs and name
    blocks       JSON: for each block, in order: width, bytes, sha256, and steps; each step has, at that width, settings and the
                 shapes of its arrays
    header_sha256  of the header's JSON, keys sorted, no spaces, with this field empty

and its tensors, named `block/step/array`, lie block after block. A block holds what its width adds to the one before:
of a kernel [..., C, K] the new outputs [..., :C_new, K_old:K_new], of the head [C, pixels, K] the new channels
[C_old:C_new], of a bias its new entries; an array that does not grow is in the first block. What is in no block is zero.
"""

import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from awn_jax import files
from awn_jax.export import bundle_header
from awn_jax.export.bundle_header import Block
from awn_jax.export.bundle_layout import check_stored, encoded, pieces
from awn_jax.export.checks import ExportError
from awn_jax.export.graph import Graph, Step


def save(graphs: Sequence[Graph], path: pathlib.Path) -> None:
    """Writes the networks of several widths of one model as a bundle.

    Args:
        graphs: of `lowered`, in any order.
        path: of the file.

    Raises:
        ExportError: if two are of one width, or a narrow one is not the prefix of a wider one.
    """
    graphs = sorted(graphs, key=lambda graph: graph.width)
    if not graphs or len({graph.width for graph in graphs}) < len(graphs):
        raise ExportError(f"graphs must be one or more, of different widths, got {[graph.width for graph in graphs]}")
    content, listed = [], []
    before: Graph | None = None
    for graph in graphs:
        if _network(graph) != _network(graphs[0]):
            raise ExportError(f"graphs must be of one model: that of width {graph.width:g} has other steps")
        shapes = _shapes(graph)
        fresh = list(pieces(shapes, None if before is None else _shapes(before)))
        regions = {(piece.step, piece.array): piece.region for piece in fresh}
        if before:
            _check_prefix(before, graph, regions)
        content.append(
            b"".join(_bytes(graph.steps[step].arrays[name][region]) for (step, name), region in regions.items())
        )
        steps = [{"settings": s.settings, "shapes": arrays} for s, arrays in zip(graph.steps, shapes, strict=True)]
        sha256 = hashlib.sha256(content[-1]).hexdigest()
        listed.append({"width": graph.width, "bytes": len(content[-1]), "sha256": sha256, "steps": steps})
        check_stored(shapes, sum(map(len, content)))
        before = graph
    files.write_bytes(path, encoded(_network(graphs[0]), listed) + b"".join(content))


def blocks(path: pathlib.Path) -> tuple[Block, ...]:
    """What a bundle, or the first part of one, says that it holds.

    Raises:
        ExportError: if the header is damaged, incomplete, or none of a bundle.
    """
    with _opened(path) as file:
        return bundle_header.read(file, path).blocks


def load(path: pathlib.Path, width: float | None = None) -> Graph:
    """Reads a network from a bundle; for a narrow one, the file's first part is enough.

    Args:
        path: of the file.
        width: one of those that the bundle holds; None for the widest, which demands the whole file.

    Raises:
        ExportError: if the file is damaged or too short, is no bundle, or does not hold this width.
    """
    with _opened(path) as file:
        header = bundle_header.read(file, path)
        held = [block.width for block in header.blocks]
        if width is not None and float(width) not in held:
            raise ExportError(f"width must be one that {path} holds, {', '.join(map(str, held))}; got {width}")
        used = header.blocks if width is None else header.blocks[: held.index(float(width)) + 1]
        size, end = os.fstat(file.fileno()).st_size, header.blocks[-1].stop
        if size > end:
            raise ExportError(f"{path} is damaged: it must have {end:,} bytes, got {size:,}")
        if size < used[-1].stop:
            raise ExportError(
                f"{path} is cut off: width {used[-1].width} needs its first {used[-1].stop:,} bytes, it has {size:,}"
            )
        content = [file.read(block.stop - block.start) for block in used]
    for block, raw in zip(used, content, strict=True):
        if hashlib.sha256(raw).hexdigest() != block.sha256:
            raise ExportError(f"{path} is damaged: the block of width {block.width} has another checksum")
    arrays = _assembled(used, content)
    described = zip(header.kinds, header.inputs, header.names, arrays, used[-1].settings, strict=True)
    graph = Graph(header.image_size, tuple(Step(*step) for step in described), used[-1].width, header.mean, header.std)
    graph.check()
    return graph


def _assembled(used: Sequence[Block], content: Sequence[bytes]) -> list[dict[str, np.ndarray]]:
    """The arrays of each step at the width of the last of some blocks."""
    arrays = [{name: np.zeros(shape, np.float32) for name, shape in step.items()} for step in used[-1].shapes]
    before: Block | None = None
    for block, raw in zip(used, content, strict=True):
        start = 0
        for piece in pieces(block.shapes, None if before is None else before.shapes):
            values = np.frombuffer(raw, "<f4", piece.bytes // 4, start).reshape(piece.shape)
            if not np.isfinite(values).all():
                raise ExportError(f"{piece.array} of step {piece.step} must be finite")
            arrays[piece.step][piece.array][piece.region] = values
            start += piece.bytes
        before = block
    return arrays


def _check_prefix(narrow: Graph, wide: Graph, regions: Mapping[tuple[int, str], Any]) -> None:
    """Raises ExportError unless the wide network's arrays are the narrow one's, what a block adds to them, and zeros."""
    for at, step in enumerate(wide.steps):
        for name, array in step.arrays.items():
            old = narrow.steps[at].arrays[name]
            made = np.zeros_like(array)
            made[tuple(map(slice, old.shape))] = old
            if (at, name) in regions:
                region = regions[at, name]
                made[region] = array[region]
            if not np.array_equal(made, array):
                raise ExportError(
                    f"a bundle needs narrow networks that are prefixes of wide ones: {step.name} of width {narrow.width:g} "
                    f"is no part of that of width {wide.width:g}; is the network triangular?"
                )


def _network(graph: Graph) -> dict[str, Any]:
    """What is the same at all widths."""
    steps = [{"kind": step.kind, "inputs": step.inputs, "name": step.name} for step in graph.steps]
    return {"image_size": graph.image_size, "mean": graph.mean, "std": graph.std, "steps": steps}


def _shapes(graph: Graph) -> list[dict[str, tuple[int, ...]]]:
    return [{name: array.shape for name, array in step.arrays.items()} for step in graph.steps]


def _bytes(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, "<f4").tobytes()


def _opened(path: pathlib.Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}") from None
