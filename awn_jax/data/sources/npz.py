"""A user's own arrays in an .npz file, as `numpy.savez` writes it.

The file is not trusted: pickled objects are never loaded, and an array is read only after its header has been held against the
file and the machine.
"""

import contextlib
import math
import os
import pathlib
import sys
import zipfile
from collections.abc import Iterator

import numpy as np
from jaxtyping import Shaped
from numpy.lib import format as npy

from awn_jax.data import checks, readings
from awn_jax.data.checks import DataError
from awn_jax.data.sources.found import Found, Request

# How many bytes one byte of a member can hold: Deflate's limit is 258 bytes in 2 bits.
_MOST = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}
# Where the number of members is in the record that ends a zip file, before its comment.
_COUNT_FROM_END = -12
_COUNTED_ELSEWHERE = 0xFFFF  # as some write files of more than 4 GiB
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read(request: Request) -> Found:
    """Reads one split.

    Args:
        request: its location is the file; `~` is the home folder. The file holds arrays `x_<split>` and `y_<split>`, for each
            of its splits, and, if it likes, `class_names`.

    Raises:
        DataError: if the file cannot be read, lacks the split or holds arrays that are no labelled images.
    """
    location, split = request.location, request.split
    keys = f"x_{split}", f"y_{split}"
    with _open(location) as archive:
        held = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
        if not held.issuperset(keys):
            raise DataError(f"{location} must hold arrays {keys[0]} and {keys[1]}, got {sorted(held)}")
        splits = [key.removeprefix("x_") for key in sorted(held) if key.startswith("x_")]
        splits = [name for name in splits if f"y_{name}" in held]
        # All that headers say is checked first, for all splits: reading may take long.
        kinds = {}
        for name in splits:
            shape, dtype = _header(archive, f"x_{name}", location)
            checks.check_image_kind(shape, dtype, f"{location}: x_{name}")
            label_header = _header(archive, f"y_{name}", location)
            checks.check_label_kind(*label_header, shape[0], f"{location}: y_{name}")
            kinds[name] = dtype
        class_names = _class_names(archive, location) if "class_names" in held else ()
        # Floats of 0 to 1 and of 0 to 255 are told apart by their values, and a split may be dark.
        alike = [name for name in splits if name != split and kinds[name].kind == kinds[split].kind]
        alike = alike if readings.by_values(kinds[split]) else []
        return Found(
            _array(archive, keys[0], location),
            _array(archive, keys[1], location),
            (f"{location}: {keys[0]}", f"{location}: {keys[1]}"),
            {f"{location}: y_{name}": _array(archive, f"y_{name}", location) for name in splits if name != split},
            tuple(value for name in alike for value in readings.extremes(_array(archive, f"x_{name}", location))),
            len(class_names) or None,
            class_names,
        )


@contextlib.contextmanager
def _reading(location: str) -> Iterator[None]:
    """Makes one line of whatever comes up while bytes of the file are read."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    # On damaged bytes zipfile, the decompressors and NumPy's parser of headers raise whatever they come upon.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{location} is not a readable .npz file: {reason}") from error


def _open(location: str) -> zipfile.ZipFile:
    """Opens a file whose list of members is undamaged: a split or the names of classes would else be missed in silence.

    Members are counted as the file's end states them, and opened, which compares their names with those that they begin with.
    """
    with _reading(location):
        path = pathlib.Path(location).expanduser()
        if not path.exists():
            raise DataError(f"{location} is not a readable .npz file: there is no such file")
        if not path.is_file():
            raise DataError(f"{location} is not a readable .npz file: it is no file")
        with path.open("rb") as file:
            magic = file.read(len(npy.MAGIC_PREFIX))
        if magic == npy.MAGIC_PREFIX:
            raise DataError(f"{location} must hold named arrays, as numpy.savez writes them, got a single one")
        archive = zipfile.ZipFile(path)
        with path.open("rb") as file:
            file.seek(_COUNT_FROM_END - len(archive.comment), os.SEEK_END)
            stated = int.from_bytes(file.read(2), "little")
        if stated not in (len(archive.infolist()), _COUNTED_ELSEWHERE):
            raise DataError(f"{location} is not a readable .npz file: it states {stated} members, but lists others")
        for info in archive.infolist():
            archive.open(info).close()
        return archive


def _header(archive: zipfile.ZipFile, key: str, location: str) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and type of an array, which the file and the machine's memory can hold."""
    info = archive.getinfo(f"{key}.npy")
    with _reading(location), archive.open(info) as member:
        version = npy.read_magic(member)
        if version not in _HEADERS:
            raise DataError(f"{location}: {key} must be an array of format 1.0 or 2.0, got {version}")
        shape, _, dtype = _HEADERS[version](member)
        held = info.file_size - member.tell()
    if dtype.hasobject:
        raise DataError(
            f"{location}: {key} must be numbers or text, got pickled objects, which could run code if loaded"
        )
    claimed = math.prod(shape) * dtype.itemsize
    packed = info.compress_size * _MOST.get(info.compress_type, math.inf)
    if min(shape, default=0) < 0 or claimed != held or info.file_size > packed:
        raise DataError(f"{location}: {key} claims shape {shape} and type {dtype}, which its file cannot hold")
    memory = _memory()
    if claimed > memory:
        raise DataError(f"{location}: {key} must fit in {memory:,} bytes of memory, got {claimed:,} bytes")
    return shape, dtype


def _array(archive: zipfile.ZipFile, key: str, location: str) -> Shaped[np.ndarray, "..."]:
    with _reading(location), archive.open(f"{key}.npy") as member:
        return npy.read_array(member, allow_pickle=False)


def _class_names(archive: zipfile.ZipFile, location: str) -> tuple[str, ...]:
    shape, dtype = _header(archive, "class_names", location)
    if len(shape) != 1 or dtype.kind not in "US" or shape[0] > checks.MAX_CLASSES:
        raise DataError(
            f"{location}: class_names must be up to {checks.MAX_CLASSES} texts in a row, got shape {shape} of {dtype}"
        )
    names = _array(archive, "class_names", location)
    with _reading(location):
        return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)


def _memory() -> int:
    """Bytes of memory of this machine; more than any has where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return sys.maxsize
