"""From dictionaries and JSON to a config and back, with every field checked."""

import dataclasses
import pathlib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

import ml_collections

from awn_jax import files, models, sealed
from awn_jax.config.checks import ConfigError
from awn_jax.config.schema import (
    FREE_ON_RESUME,
    Config,
    DataConfig,
    LogConfig,
    ModelConfig,
    TrainConfig,
    WidthsConfig,
    flat,
)
from awn_jax.config.taxonomy import TaxonomyConfig

SECTIONS: dict[str, Any] = {
    "data": DataConfig,
    "widths": WidthsConfig,
    "train": TrainConfig,
    "log": LogConfig,
    "taxonomy": TaxonomyConfig,
}


def default(model: str) -> ml_collections.ConfigDict:
    """A config with every field at its default, for a file in `configs/` to change.

    Args:
        model: of `models.MODELS`, or `module:Class`.

    Raises:
        ConfigError: if there is no such model.
    """
    return ml_collections.ConfigDict(to_dict(parse({"model": {"name": model}})))


def to_dict(config: Config) -> dict[str, Any]:
    """The fields of a config, section by section."""
    values = dataclasses.asdict(config)
    values["model"] = {"name": config.model.name, **values["model"]["options"]}
    return values


def parse(config: Mapping[str, Any] | ml_collections.ConfigDict) -> Config:
    """Checks a config and freezes it.

    Raises:
        ConfigError: if a field is unknown, of another type, or has a value that makes no sense.
    """
    values = config.to_dict() if isinstance(config, ml_collections.ConfigDict) else dict(config)
    known = {"task", "model", *SECTIONS}
    for name in values:
        if name not in known:
            raise ConfigError(f"config has no field {name!r}; it has {', '.join(sorted(known))}")
    built = {name: _build(kind, values.get(name, {}), name) for name, kind in SECTIONS.items()}
    return Config(_model(values.get("model", {})), **built, task=_convert(str, values.get("task", "classify"), "task"))


def _model(values: Any) -> ModelConfig:
    if not isinstance(values, Mapping) or not values.get("name"):
        raise ConfigError(f"model.name must name a network, one of {', '.join(models.MODELS)} or module:Class")
    name = _convert(str, values["name"], "model.name")
    try:
        kind = models.find(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return ModelConfig(name, _build(kind.Options, {k: v for k, v in values.items() if k != "name"}, "model"))


def _build(kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"config.{where} must hold fields, got {values!r}")
    hints = typing.get_type_hints(kind)
    for name in values:
        if name not in hints:
            raise ConfigError(f"config.{where} has no field {name!r}; it has {', '.join(hints)}")
    built = {name: _convert(hints[name], value, f"config.{where}.{name}") for name, value in values.items()}
    try:
        return kind(**built)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{where}.{error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is Literal:
        options = typing.get_args(hint)
        if value not in options:
            raise ConfigError(f"{where} must be one of {', '.join(map(repr, options))}, got {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} must be a list, got {value!r}")
        return tuple(_convert(typing.get_args(hint)[0], item, where) for item in value)
    if origin in (typing.Union, types.UnionType):
        value_type = next((h for h in typing.get_args(hint) if h is type(value)), typing.get_args(hint)[0])
        return _convert(value_type, value, where) if value is not None else None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ConfigError(f"{where} must be of type {hint.__name__}, got {value!r}")
    # As far as a random key tells seeds apart.
    if hint is int and abs(value) >= 1 << 32:
        raise ConfigError(f"{where} must be below {1 << 32}, got {value}")
    return value


def save(config: Config, path: pathlib.Path) -> None:
    """Writes a config as JSON."""
    sealed.write(path, to_dict(config))


def load(path: pathlib.Path) -> Config:
    """Reads a config that `save` wrote.

    Raises:
        ConfigError: if the file is not there or not such a config.
    """
    try:
        return sealed.read_edited(path, parse)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{path} is not there: is {path.parent} the workdir of a run?") from None
    except files.UnreadableError as error:
        raise ConfigError(str(error)) from error


def check_same_run(saved: Config, wanted: Config, where: pathlib.Path) -> None:
    """Raises ConfigError naming the fields that differ, but for those that do not change the result."""
    old, new = flat(saved), flat(wanted)
    changed = [
        f"{name} (was {old.get(name)!r}, now {new.get(name)!r})"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name) and name not in FREE_ON_RESUME
    ]
    if changed:
        same_network = not any(name.startswith("model.") for name in old if old[name] != new.get(name))
        raise ConfigError(
            f"{where} holds a run with another config: {'; '.join(changed)}. Choose another --workdir"
            + (f"; train.init_from={where} begins there with this run's weights" if same_network else "")
        )
