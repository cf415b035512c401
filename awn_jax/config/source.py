"""Config files: where a run begins, and what a command line changes in them."""

import ast
import pathlib
import runpy
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from awn_jax.config.checks import ConfigError
from awn_jax.config.methods import METHODS
from awn_jax.config.parse import parse, to_dict
from awn_jax.config.schema import Config

FOLDER = pathlib.Path("configs")


def locate(spec: str) -> tuple[pathlib.Path, str]:
    """The file that a `--config` names, and the method after its last colon, or nothing.

    Raises:
        ConfigError: if there is no such file.
    """
    path = pathlib.Path(spec).expanduser()
    if path.is_file():
        return path, ""
    front, _, method = spec.rpartition(":")
    if front and pathlib.Path(front).expanduser().is_file():
        return pathlib.Path(front).expanduser(), method
    found = sorted(map(str, FOLDER.glob("*.py")))
    there = f"; there are {', '.join(found)}" if found else ""
    raise ConfigError(f"--config must be a file, got {front or spec}{there}")


def read(spec: str, changes: Mapping[str, str] | None = None) -> Config:
    """Runs a config file, which is Python, and changes some of its fields.

    Args:
        spec: `FILE`, or `FILE:METHOD` with one of `METHODS`. The file defines `get_config()`, or `get_config(method)`, which
            gives what `default` gives, changed.
        changes: text of new values, by the dotted names of the fields.

    Raises:
        ConfigError: if the file, the method, a field or a value is not there or makes no sense.
    """
    path, method = locate(spec)
    if method and method not in METHODS and path.parent.name == FOLDER.name:
        raise ConfigError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    try:
        get_config = runpy.run_path(str(path)).get("get_config")
    except (SyntaxError, ImportError) as error:
        raise ConfigError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    if not callable(get_config):
        raise ConfigError(f"{path} must define get_config(), which gives a config: see awn_jax.config.default")
    config = get_config(method) if method else get_config()
    if not isinstance(config, ml_collections.ConfigDict):
        raise ConfigError(f"{path}: get_config() must give what awn_jax.config.default gives, got {config!r}")
    return parse(changed(config, changes or {}))


def settle(config: Config | ml_collections.ConfigDict | Mapping[str, Any] | str | pathlib.Path) -> Config:
    """A config in whichever form a program has it: checked and frozen, its fields, or where `read` finds it.

    Raises:
        ConfigError: if it makes no sense.
    """
    if isinstance(config, Config):
        return config
    return read(str(config)) if isinstance(config, str | pathlib.Path) else parse(config)


def changed(config: ml_collections.ConfigDict, changes: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a config with new values, read from text.

    Another `model.name` brings its own options: those that the two models share and the config had changed are kept.

    Raises:
        ConfigError: if there is no such field.
    """
    values = config.to_dict()
    name = changes.get("model.name")
    if name and name != values["model"]["name"]:
        ours, theirs = (to_dict(parse({"model": {"name": n}}))["model"] for n in (values["model"]["name"], name))
        kept = {k: v for k, v in values["model"].items() if k in theirs and k != "name" and v != ours.get(k)}
        values["model"] = {**theirs, **kept}
    for field, text in changes.items():
        *sections, last = field.split(".")
        place: Any = values
        for section in sections:
            place = place.get(section) if isinstance(place, dict) else None
        if not isinstance(place, dict) or isinstance(place.get(last, {}), dict):
            raise ConfigError(f"--config.{field}: the config has no field {last!r}")
        place[last] = _value(text, place[last])
    return values


def _value(text: str, old: Any) -> Any:
    """A value in place of another one, from text; text stays text where the old value is some."""
    if isinstance(old, str):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "inf": float("inf"), "nan": float("nan")}.get(text.lower(), text)
    return (value,) if isinstance(old, tuple | list) and isinstance(value, int | float) else value


def take_changes(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Takes the flags `--config.FIELD=VALUE` and `--config.FIELD VALUE` out of a command line.

    Returns:
        The other arguments, and the values by field.

    Raises:
        ConfigError: if a flag has no value.
    """
    others: list[str] = []
    changes: dict[str, str] = {}
    given = iter(arguments)
    for argument in given:
        flag, equals, value = argument.partition("=")
        if not flag.startswith("--config."):
            others.append(argument)
            continue
        if not equals:
            following = next(given, None)
            if following is None or following.startswith("--"):
                raise ConfigError(f"{flag} must have a value, as {flag}=VALUE")
            value = following
        changes[flag.removeprefix("--config.")] = value
    return others, changes
