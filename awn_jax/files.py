"""Files that are whole or not there, and folders that one process writes into at a time."""

import json
import os
import pathlib
from typing import IO, Any


class InUseError(RuntimeError):
    """Another process writes into the folder."""


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file such that a process that is killed meanwhile leaves the one that was there before."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    os.replace(part, path)


def write_json(path: pathlib.Path, content: Any, *, indent: int = 2) -> None:
    """Writes JSON as `write_text` does."""
    write_text(path, json.dumps(content, indent=indent) + "\n")


def claim(folder: pathlib.Path) -> IO[str] | None:
    """Claims a folder until the file that is returned is closed or the process ends; None where that cannot be done.

    Raises:
        InUseError: if another process has claimed it.
    """
    try:
        import fcntl
    except ImportError:  # not a Unix
        return None
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InUseError(f"{folder} is in use by another run: let it end, or choose another --workdir") from None
    except OSError:  # a file system without locks
        file.close()
        return None
    return file
