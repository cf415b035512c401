"""What a value may be, for settings of steps and for what files claim: nothing in a file is taken on trust."""

import functools
import json
import math
import operator
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from awn_jax.errors import UserError

T = TypeVar("T")
# Gives the value as it is kept, or raises ValueError that says what it must be.
Check = Callable[[Any], T]


class ExportError(UserError, ValueError):
    """A network or a file cannot be exported or read; the message says what and why."""


def whole(low: int, high: int) -> Check[int]:
    """A whole number in [low, high]."""
    return functools.partial(_whole, low, high)


def _whole(low: int, high: int, value: Any) -> int:
    # NumPy's whole numbers too, but not those that are meant otherwise.
    found = operator.index(value) if hasattr(value, "__index__") and not isinstance(value, bool) else None
    if found is None or not low <= found <= high:
        raise ValueError(f"a whole number in [{low}, {high}]")
    return found


def number(value: Any) -> float | int:
    """A finite number; a whole one stays whole."""
    if not isinstance(value, bool):
        if isinstance(value, int) and abs(value) <= 1 << 53:
            return value
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
    raise ValueError("a finite number")


def width(value: Any) -> float:
    """A number in (0, 1]."""
    if not 0 < number(value) <= 1:
        raise ValueError("in (0, 1]")
    return float(value)


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def text(value: Any) -> str:
    """A string that is no essay."""
    if not isinstance(value, str) or len(value) > 1000:
        raise ValueError("a string of at most 1,000 characters")
    return value


def table(value: Any) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, Mapping):
        raise ValueError("an object")
    return value


def optional(check: Check[T]) -> Check[T | None]:
    """None, or what another check wants."""
    return lambda value: None if value is None else check(value)


def one_of(names: Iterable[str]) -> Check[str]:
    """One of some strings."""
    return functools.partial(_one_of, tuple(names))


def _one_of(names: tuple[str, ...], value: Any) -> str:
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"one of {', '.join(names)}")
    return value


def several(check: Check[T], low: int = 0, high: int = 1 << 20) -> Check[tuple[T, ...]]:
    """A list of `low` to `high` values, each of which passes a check."""
    return functools.partial(_several, check, low, high)


def _several(check: Check[T], low: int, high: int, value: Any) -> tuple[T, ...]:
    if not isinstance(value, list | tuple) or not low <= len(value) <= high:
        raise ValueError(f"a list of {low if low == high else f'{low} to {high}'} values")
    return tuple(check(item) for item in value)


def permutation(value: Any) -> tuple[int, ...]:
    """The numbers 0, 1, … in any order."""
    order = several(whole(0, 1 << 20), 1)(value)
    if sorted(order) != list(range(len(order))):
        raise ValueError("a permutation")
    return order


def field(holder: Mapping[str, Any], name: str, check: Check[T], where: str) -> T:
    """A field that must be there and pass a check.

    Args:
        holder: of the field.
        name: of the field.
        check: what its value must be.
        where: the beginning of the error.

    Raises:
        ExportError: if it is not there, or something else.
    """
    if name not in holder:
        raise ExportError(f"{where}: {name} is not there")
    try:
        return check(holder[name])
    except ValueError as error:
        raise ExportError(f"{where}: {name} must be {error}, got {reprlib.repr(holder[name])}") from None


def parsed(raw: bytes | str, where: str) -> Mapping[str, Any] | list[Any]:
    """The JSON of a file.

    Raises:
        ExportError: if it is none, is nested too deeply, or holds a number that JSON does not have.
    """
    try:
        return json.loads(raw, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{where} is damaged: {' '.join(str(error).split())[:200]}") from None


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
