"""Whose fault an error is: what whoever runs a command can mend, and what code of their own has raised."""

import importlib
import pathlib
import sys
import sysconfig
import traceback

_PACKAGES = ("awn_jax", "awn_kernels")


class UserError(Exception):
    """Something that whoever runs a command can mend; the message says in one line what is wrong, and what to do."""


def own_code(error: BaseException) -> str:
    """Where code of the user's own, such as a loss named `module:function`, raised an error: its file and line.

    Nothing if the library did. What an installed package raises is the fault of the code that called it.
    """
    library = [pathlib.Path(importlib.import_module(name).__file__ or "").resolve().parent for name in _PACKAGES]
    installed = [pathlib.Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")]
    command = pathlib.Path(getattr(sys.modules["__main__"], "__file__", None) or "").resolve()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = pathlib.Path(frame.filename).resolve()
        if path == command or any(path.is_relative_to(folder) for folder in library):
            return ""
        if path.is_file() and not any(path.is_relative_to(folder) for folder in installed):
            return f"{frame.filename}, line {frame.lineno}"
    return ""
