"""JSON files that the library reads back: each carries a checksum of what it says, so that damage is told."""

import hashlib
import json
import pathlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from awn_jax import files

KEY = "sha256"
Parsed = TypeVar("Parsed")


class SealWarning(UserWarning):
    """A file that people edit does not say what was written."""


class SealError(files.UnreadableError):
    """A file does not say what was written: it is damaged, or has been edited.

    Attributes:
        content: what it says.
    """

    def __init__(self, path: pathlib.Path, content: dict[str, Any], reason: str = ""):
        why = f" ({reason})" if reason else ""
        super().__init__(f"{path} is not what was written: it is damaged, or has been edited{why}")
        self.content = content


def write(path: pathlib.Path, content: Mapping[str, Any], *, indent: int = 2) -> None:
    """Writes an object with its checksum, as `files.write_json` does."""
    # As it will be read: with texts for keys, and lists.
    plain = json.loads(json.dumps(content))
    files.write_json(path, {**plain, KEY: checksum(plain)}, indent=indent)


def read(path: pathlib.Path) -> dict[str, Any]:
    """Reads an object that `write` wrote, without its checksum; one that has none is believed.

    Raises:
        FileNotFoundError, NotADirectoryError: if the file is not there.
        UnreadableError: if it cannot be read, or is no JSON object.
        SealError: if it is not what was written.
    """
    content = files.read_json(path)
    if not isinstance(content, dict):
        raise files.UnreadableError(f"{path} is not a JSON object")
    said = content.pop(KEY, None)
    if said is not None and said != checksum(content):
        raise SealError(path, content)
    return content


def read_edited(path: pathlib.Path, parse: Callable[[dict[str, Any]], Parsed]) -> Parsed:
    """Reads a file that people edit: it warns if the content is not what was written, but makes sense.

    Args:
        path: of the file.
        parse: makes sense of the content.

    Raises:
        FileNotFoundError, NotADirectoryError, UnreadableError: as for `read`.
        SealError: if it is not what was written, and `parse` fails; otherwise what `parse` raises.
    """
    try:
        return parse(read(path))
    except SealError as error:
        broken = error
    try:
        parsed = parse(broken.content)
    except Exception as error:
        raise SealError(path, broken.content, str(error)) from error
    # One line, without the place in the code, which says nothing about the file.
    warnings.warn_explicit(SealWarning(str(broken)), None, filename="awn_jax", lineno=0, module="awn_jax")
    return parsed


def checksum(content: Mapping[str, Any]) -> str:
    """The SHA-256 of an object, whatever the order of its names."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
