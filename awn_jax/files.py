"""Files that are whole or not there, and folders that one process writes into at a time."""

import contextlib
import csv
import io
import json
import os
import pathlib
import stat
from collections.abc import Iterable
from typing import IO, Any

from awn_jax.errors import UserError


class InUseError(UserError):
    """Another process writes into the folder."""


class UnreadableError(UserError, ValueError):
    """A file is not what it should be; the message names it and says why."""


class NotWritableError(UserError, ValueError):
    """Nothing can be written to a place; the message names it and says why."""


def readable(name: str) -> str:
    """A name of a file, as text that can be written and drawn; a name may hold bytes that are no text."""
    return name.encode("utf-8", "replace").decode()


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Writes a file such that a process that is killed meanwhile leaves the one that was there before.

    Raises:
        NotWritableError: if it cannot be written: the disk is full, say.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise NotWritableError(f"{path} cannot be written: {error.strerror or error}") from error


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes text as UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_json(path: pathlib.Path, content: Any, *, indent: int = 2) -> None:
    """Writes JSON as `write_text` does.

    Raises:
        ValueError: if a number in it is not finite: JSON has none such.
    """
    write_text(path, json.dumps(content, indent=indent, allow_nan=False) + "\n")


def write_csv(path: pathlib.Path, rows: Iterable[Iterable[object]]) -> None:
    """Writes rows of values, the heads first, as `write_text` does."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_text(path, text.getvalue())


def read_json(path: pathlib.Path) -> Any:
    """Reads a JSON file.

    Raises:
        FileNotFoundError, NotADirectoryError: if it is not there.
        UnreadableError: if it cannot be read, or is no JSON of finite numbers.
    """
    try:
        return json.loads(path.read_bytes(), parse_constant=_refused)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{path} is not JSON: {' '.join(str(error).split())}") from error


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def write_figure(figure: Any, path: pathlib.Path, *, dpi: int = 150) -> None:
    """Writes a picture of Matplotlib's as `write_bytes` does, in the format that its name ends with."""
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.removeprefix(".") or "png", dpi=dpi)
    write_bytes(path, content.getvalue())


def folder(path: pathlib.Path | str, name: str, holding: Iterable[str] = ()) -> pathlib.Path:
    """A local folder to write into; made if it is not there.

    Args:
        path: with `~` for the home folder.
        name: the argument that it was given for, which errors name.
        holding: names of the files that will be written there.

    Raises:
        NotWritableError: if it is a file, on another machine, or cannot be written to, or one of those files is a folder.
    """
    text = os.fspath(path)
    if "://" in text or text.startswith(("gs:/", "s3:/")):
        raise NotWritableError(f"{name} must be a folder of this machine, got {text}")
    if readable(text) != text:
        # Orbax, and JSON, take no other names.
        raise NotWritableError(f"{name} must have a name that is text, got {text!r}")
    try:
        place = pathlib.Path(text).expanduser()
        place.mkdir(parents=True, exist_ok=True)
        probe = place / f".awn_{os.getpid()}"
        probe.touch()
        probe.unlink()
    except (FileExistsError, NotADirectoryError):
        raise NotWritableError(f"{name} must be a folder or not there yet, got {text}") from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NotWritableError(f"{name} must be a folder that can be written to, got {text!r}: {reason}") from None
    for each in holding:
        if (place / each).is_dir():
            raise NotWritableError(f"{place / each} must be a file or not there yet, and is a folder: move it away")
    return place


def claim(folder: pathlib.Path) -> IO[bytes] | None:
    """Claims a folder until the file that is returned is closed or the process ends; None where that cannot be done.

    Raises:
        InUseError: if another process has claimed it.
        NotWritableError: if its `lock` is no ordinary file.
    """
    try:
        import fcntl
    except ImportError:  # not a Unix
        return None
    path = folder / "lock"
    try:
        # Not emptied, and not followed: whoever put a link there may mean another file.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise NotWritableError(f"{path} must be an ordinary file: {error.strerror}; delete it") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotWritableError(f"{path} must be an ordinary file; delete it")
    file = os.fdopen(descriptor, "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InUseError(f"{folder} is in use by another run: let it end, or choose another --workdir") from None
    except OSError:  # a file system without locks
        file.close()
        return None
    return file
