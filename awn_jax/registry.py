"""Things that a config names: those that the library knows, or a user's own as `module:Name`."""

import importlib
import operator
import os
import sys
from collections.abc import Mapping
from typing import Any, TypeVar, cast

T = TypeVar("T")


def resolve(name: str, known: Mapping[str, T | str], what: str) -> T:
    """Finds what a config names.

    Args:
        name: a key of `known`, or `module:Name` for a user's own; `Name` may have dots, as a method of a class has. The
            module may lie in the current folder.
        known: what the library offers, by name; a value that is a string is itself a `module:Name`, imported when it is
            asked for.
        what: the argument that `name` was given for, which errors name.

    Returns:
        The object. Whether it is of the right kind is for the caller to check.

    Raises:
        ValueError: if there is no such name, or its module cannot be imported or lacks it.

    Example:
        >>> resolve("half", {"half": 0.5, "pi": "math:pi"}, "factor")
        0.5
        >>> resolve("math:tau", {}, "factor")
        6.283185307179586
    """
    found = known.get(name, name)
    if not isinstance(found, str):
        return found
    module, colon, attribute = found.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"{what} must be one of {', '.join(sorted(known))}, or module:Name, got {name!r}")
    try:
        return cast(T, operator.attrgetter(attribute)(_import(module)))
    # A user's module may fail in any way, and one that is a script may exit.
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{what} must be importable, got {found!r}: {reason}") from error


def _import(name: str) -> Any:
    """Imports a module, also from the current folder where Python does not look there: a script's path has the script's own."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        here = os.getcwd()
        # Where a dependency of the module is what is missing, or Python has looked here already, there is nothing to add.
        if error.name != name.partition(".")[0] or {here, ""} & set(sys.path):
            raise
    sys.path.append(here)
    try:
        importlib.invalidate_caches()
        return importlib.import_module(name)
    finally:
        sys.path.remove(here)
