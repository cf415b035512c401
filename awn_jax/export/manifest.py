"""A manifest beside each exported file: what it holds, and a checksum of every byte.

`NAME.manifest.json` lies beside `NAME`, and is written last: a file that was half replaced does not go with it.
"""

import hashlib
import os
import pathlib
from typing import Any, Protocol, runtime_checkable

from awn_jax import files
from awn_jax.export.checks import Check, ExportError, field, number, one_of, parsed, several, table, text, whole, width

VERSION = 1
# Suffixes of the further files that a format consists of.
FORMATS = {"flax": (".npz",), "onnx": (), "stablehlo": ()}
LARGEST = 1 << 20


@runtime_checkable
class Network(Protocol):
    """What a manifest says of a network."""

    @property
    def image_size(self) -> tuple[int, int, int]: ...

    @property
    def width(self) -> float: ...

    @property
    def mean(self) -> tuple[float, ...]: ...

    @property
    def std(self) -> tuple[float, ...]: ...


def path_of(path: pathlib.Path) -> pathlib.Path:
    """Where the manifest of an exported file is."""
    return path.with_name(f"{path.name}.manifest.json")


def write(path: pathlib.Path, format: str, network: Network, *contents: bytes) -> None:
    """Writes an exported network's files, each of which is whole or not there, and their manifest.

    Args:
        path: of the file that the network is loaded by.
        format: one of `FORMATS`.
        network: that they hold.
        contents: of that file, and of each further one of the format.
    """
    sums = {}
    for place, content in zip(_places(path, format), contents, strict=True):
        files.write_bytes(place, content)
        sums[place.name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    facts = {"image_size": network.image_size, "mean": network.mean, "std": network.std}
    said = {"version": VERSION, "format": format, "width": network.width, **facts, "files": sums}
    files.write_json(path_of(path), said)


def verified(path: pathlib.Path, format: str, width: float | None = None) -> list[bytes]:
    """The contents of an exported network's files, in the order of `write`, once they are found to be what was written.

    Args:
        path: of the file that the network is loaded by.
        format: that it must have.
        width: that it must have; None for any.

    Raises:
        ExportError: if a file or the manifest is not there, damaged, or of another network.
    """
    facts = read(path)
    if facts["format"] != format or (width is not None and float(width) != facts["width"]):
        wanted = format if width is None else f"{format} of width {width:g}"
        raise ExportError(f"{path} must hold {wanted}, it holds {facts['format']} of width {facts['width']:g}")
    return [_verified(place, **facts["files"][place.name]) for place in _places(path, format)]


def read(path: pathlib.Path) -> dict[str, Any]:
    """What the manifest of an exported file says: format, width, image_size, mean, std, and files, each with its bytes and
    sha256.

    Raises:
        ExportError: if there is none, or it is damaged.
    """
    place = path_of(path)
    where = str(place)
    content = parsed(_bytes(place, most=LARGEST), where)
    try:
        found = table(content)
    except ValueError:
        raise ExportError(f"{where} must be an object") from None
    field(found, "version", whole(VERSION, VERSION), where)
    facts = {name: field(found, name, check, where) for name, check in _FACTS.items()}
    sums = {}
    for name in (place.name for place in _places(path, facts["format"])):
        entry = field(facts["files"], name, table, where)
        sums[name] = {key: field(entry, key, check, where) for key, check in _SUMS.items()}
    return {**facts, "files": sums}


_FACTS: dict[str, Check[Any]] = {
    "format": one_of(FORMATS),
    "width": width,
    "image_size": several(whole(1, 1 << 20), 3, 3),
    "mean": several(number),
    "std": several(number),
    "files": table,
}
_SUMS: dict[str, Check[Any]] = {"bytes": whole(0, 1 << 50), "sha256": text}


def _places(path: pathlib.Path, format: str) -> list[pathlib.Path]:
    return [path, *(path.with_suffix(suffix) for suffix in FORMATS[format])]


def _verified(path: pathlib.Path, bytes: int, sha256: str) -> bytes:
    content = _bytes(path, most=bytes)
    if len(content) != bytes or hashlib.sha256(content).hexdigest() != sha256:
        raise ExportError(f"{path} is damaged: it has another checksum than its manifest says")
    return content


def _bytes(path: pathlib.Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise ExportError(f"{path} is damaged: it has {size:,} bytes, at most {most:,} are right")
            return file.read()
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or error}") from None
