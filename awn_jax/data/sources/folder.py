"""A folder of pictures, as people have them: `<split>/<class>/<picture>`, or `<class>/<picture>`."""

import dataclasses
import os
import pathlib
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int

from awn_jax import files
from awn_jax.data import checks, splits
from awn_jax.data.checks import DataError
from awn_jax.data.photographs import Records
from awn_jax.data.sources.found import Request

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclasses.dataclass(frozen=True)
class Files(Records):
    """Pictures in files.

    Attributes:
        folder: that they lie in.
        paths: of each, from the folder on.
        labels, classes, class_names: see `Records`.
    """

    folder: str
    paths: tuple[str, ...]
    labels: Int[np.ndarray, " N"]
    classes: int
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def record(self, index: int) -> tuple[bytes, int]:
        try:
            with open(os.path.join(self.folder, self.paths[index]), "rb") as file:
                return file.read(), int(self.labels[index])
        except OSError as error:
            raise DataError(f"{self.name(index)} cannot be read: {error.strerror}") from error

    def name(self, index: int) -> str:
        return files.readable(os.path.join(self.folder, self.paths[index]))

    def select(self, indices: Int[np.ndarray, " M"]) -> "Files":
        paths = tuple(self.paths[index] for index in indices.tolist())
        return dataclasses.replace(self, paths=paths, labels=self.labels[indices])

    def listing(self) -> Iterator[str]:
        for index, path in enumerate(self.paths):
            try:
                yield f"{self.labels[index]} {path} {os.stat(os.path.join(self.folder, path)).st_size}"
            except OSError as error:
                raise DataError(f"{self.name(index)} cannot be read: {error.strerror}") from error


def read(request: Request) -> Files:
    """Lists one split. Classes are numbered by their names in order, over all splits.

    Where the folder has classes and no splits, a part of each class, drawn by the request's seed, is `test`, the rest `train`.

    Args:
        request: its location is the folder; `~` is the home folder.

    Warns with a `DataWarning` where a class has no picture in the split, and where files are left out for their type.

    Raises:
        DataError: if it is no such folder, lacks the split, or has no two classes.
    """
    root = _folder(request.location)
    inside = _folders(root)
    if not inside:
        raise DataError(f"{root} must hold a folder for each class, or one for each split with those in it, got none")
    if any(_has_pictures(folder) for folder in inside):
        return _part(root, inside, request)
    of_split = {folder.name: _folders(folder) for folder in inside}
    if request.split not in of_split:
        held = ", ".join(sorted(map(files.readable, of_split)))
        raise DataError(
            f"{root} must hold a folder {request.split!r}, got {held}: which is which, data.test_split says"
        )
    names = _class_names(root, [folder for folders in of_split.values() for folder in folders])
    return _listed(root, of_split[request.split], names, f"{root}/{request.split}")


def _part(root: pathlib.Path, folders: Sequence[pathlib.Path], request: Request) -> Files:
    if {"train", "test"} <= {folder.name for folder in folders}:
        raise DataError(f"{root}/train must hold a folder for each class, got pictures")
    if request.split not in ("train", "test"):
        raise DataError(
            f"split of {root} must be 'train' or 'test', since it has classes and no splits, got {request.split!r}"
        )
    every = _listed(root, folders, _class_names(root, folders), str(root))
    kept, held_out = splits.stratified(every.labels, request.test_share, request.seed, "data.test_share")
    return every.select(held_out if request.split == "test" else kept)


def _listed(root: pathlib.Path, folders: Sequence[pathlib.Path], names: tuple[str, ...], what: str) -> Files:
    paths: list[str] = []
    labels: list[int] = []
    others: dict[str, int] = {}
    for folder in folders:
        found = []
        for entry in _entries(folder):
            suffix = pathlib.Path(entry.name).suffix.lower()
            if _is_folder(entry):
                raise DataError(
                    f"{folder}/{entry.name} must be a picture, got a folder: pictures lie in their class's own"
                )
            if suffix in SUFFIXES:
                found.append(entry.name)
            else:
                others[suffix] = others.get(suffix, 0) + 1
        paths += [os.path.relpath(folder / name, root) for name in sorted(found)]
        labels += [names.index(folder.name)] * len(found)
        if not found:
            checks.warn(f"class {files.readable(folder.name)!r} has no picture in {folder.parent}")
    if not paths:
        raise DataError(f"{what} must hold pictures ({', '.join(SUFFIXES)}), got none")
    if others:
        kinds = ", ".join(
            f"{count} of type {files.readable(suffix) or 'none'}" for suffix, count in sorted(others.items())
        )
        checks.warn(f"files in {what} that are left out, since they are not {', '.join(SUFFIXES)}: {kinds}")
    return Files(str(root), tuple(paths), np.array(labels, np.int32), len(names), tuple(map(files.readable, names)))


def _class_names(root: pathlib.Path, folders: Sequence[pathlib.Path]) -> tuple[str, ...]:
    names = tuple(sorted({folder.name for folder in folders}))
    if len(names) < 2:
        held = f": {files.readable(names[0])!r}" if names else ""
        raise DataError(f"{root} must hold at least 2 classes to tell apart, got {len(names)}{held}")
    if len(names) > checks.MAX_CLASSES:
        raise DataError(f"{root} must hold at most {checks.MAX_CLASSES} classes, got {len(names)}")
    alike: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", name).casefold()
        if key in alike:
            raise DataError(
                f"classes of {root} must differ in more than capital letters, got {files.readable(alike[key])!r} and "
                f"{files.readable(name)!r}: put their pictures together, or rename one"
            )
        alike[key] = name
    return names


def _folder(location: str) -> pathlib.Path:
    try:
        root = pathlib.Path(location).expanduser()
        if not root.is_dir():
            raise DataError(
                f"{location} must be a folder of pictures, and is {'no folder' if root.exists() else 'not there'}"
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{location} must be a folder of pictures: {' '.join(str(error).split())}") from error
    return root


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders in a folder, hidden ones left out; a link may lead elsewhere, but not back."""
    found = [folder / entry.name for entry in _entries(folder) if _is_folder(entry)]
    own = os.path.realpath(folder)
    for path in found:
        real = os.path.realpath(path)
        if path.is_symlink() and (own + os.sep).startswith(real.rstrip(os.sep) + os.sep):
            raise DataError(
                f"{files.readable(str(path))} must not lead back to a folder that it lies in, got a link to {real}"
            )
    return sorted(found)


def _has_pictures(folder: pathlib.Path) -> bool:
    return any(
        pathlib.Path(entry.name).suffix.lower() in SUFFIXES and not _is_folder(entry) for entry in _entries(folder)
    )


def _entries(folder: pathlib.Path) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder and is not hidden."""
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{files.readable(str(folder))} cannot be read: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
