"""What an experiment is: frozen dataclasses, made once from a config file or the JSON saved beside the results."""

import contextlib
import dataclasses
import json
import pathlib
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import ml_collections

from awn_jax import files
from awn_jax import widths as width_arithmetic


class ConfigError(ValueError):
    """A config has an unknown field or a value that makes no sense; the message names it."""


@contextlib.contextmanager
def blaming(section: str) -> Iterator[None]:
    """Turns the ValueError of a part that does not accept its settings into a ConfigError that names the section."""
    try:
        yield
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"config.{section}: {error}") from error


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The images.

    Attributes:
        name: `digits`, `npz:PATH` or a TFDS name, see `data.load`.
        mean, std: of each plane, where white is 1.
        augment: `none`, or `crop_flip`: a random shift and a random horizontal flip.
        shift: of `crop_flip`, up to so many pixels each way.
        data_dir: of TFDS; empty for its default.
        train_split, test_split: names of the splits.
    """

    name: str = "digits"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    augment: Literal["none", "crop_flip"] = "none"
    shift: int = 4
    data_dir: str = ""
    train_split: str = "train"
    test_split: str = "test"

    def __post_init__(self):
        _require(bool(self.name), "data.name must not be empty")
        _require(
            len(self.mean) == len(self.std), f"data.mean and data.std must be equally long, got {self.mean}, {self.std}"
        )
        _require(self.shift >= 0, f"data.shift must be 0 or more, got {self.shift}")
        _require(all(s > 0 for s in self.std), f"data.std must be above 0, got {self.std}")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network.

    Attributes:
        name: `lenet_3c1l`.
        conv: `triangular`, or `ordinary` for the rivals.
        norm: `shared` by all widths, `switchable` (one for each of `widths.fixed`) or `calibrated` after training.
        channels: of each layer at full width.
        group: channels born together.
        core: α of the narrowest network there is, whose channels all read each other; 0 for the paper's triangle.
        fan_in: what the initial scale of a channel counts: all inputs (`full`) or those that it may read (`visible`).
        dropout: while training, share of the features that the head misses at full width; at width α, α times that.
        implementation: of the convolutions; empty for the fastest, see `kernels.triangular_conv`.
    """

    name: Literal["lenet_3c1l"] = "lenet_3c1l"
    conv: Literal["triangular", "ordinary"] = "triangular"
    norm: Literal["shared", "switchable", "calibrated"] = "shared"
    channels: int = 45
    group: int = 1
    core: float = 0.0
    fan_in: Literal["full", "visible"] = "full"
    dropout: float = 0.0
    implementation: Literal["", "reference", "xla_staircase", "pallas_tpu", "pallas_mosaic_gpu"] = ""

    def __post_init__(self):
        _require(self.channels >= 1, f"model.channels must be at least 1, got {self.channels}")
        _require(self.group >= 1, f"model.group must be at least 1, got {self.group}")
        _require(0 <= self.core <= 1, f"model.core must be in [0, 1], got {self.core}")
        _require(0 <= self.dropout < 1, f"model.dropout must be in [0, 1), got {self.dropout}")


@dataclasses.dataclass(frozen=True)
class WidthsConfig:
    """Which widths a step learns from, and how.

    Attributes:
        train: `all` distinct widths, the `fixed` ones, or `random`: the ends of [minimum, 1] and `passes − 2` draws.
        how: `nested` (one pass for all; needs triangular layers and a shared norm) or `sequential` (one for each, the
            paper's Algorithm 1).
        minimum: α_min, for training and for the area under the curve.
        fixed: the widths of `fixed`.
        passes: of `random`.
        total: sum of the weights of a step's losses; 0 for the plain sum. 4 keeps the paper's learning rates, which go with
            the sum over four widths.
        ends: share of the total that the narrowest and the widest width get each, before the rest is spread evenly over all;
            not for `random`, which always has them.
        distillation: share of each narrower width's loss that is taken with the soft predictions of the widest.
        calibrate: for norms that need it, at how many evenly spaced widths statistics are computed after training; 0 for
            every distinct sub-network.
    """

    train: Literal["all", "fixed", "random"] = "all"
    how: Literal["nested", "sequential"] = "nested"
    minimum: float = 0.25
    fixed: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    passes: int = 4
    total: float = 4.0
    ends: float = 0.0
    distillation: float = 0.0
    calibrate: int = 0

    def __post_init__(self):
        try:
            width_arithmetic.exact_width(self.minimum, "widths.minimum")
            for width in self.fixed:
                width_arithmetic.exact_width(width, "widths.fixed")
        except ValueError as error:
            raise ConfigError(str(error)) from None
        _require(
            len(set(self.fixed)) == len(self.fixed) > 0, f"widths.fixed must be different widths, got {self.fixed}"
        )
        _require(self.passes >= 2, f"widths.passes must be at least 2, got {self.passes}")
        _require(self.total >= 0, f"widths.total must be 0 or more, got {self.total}")
        _require(0 <= self.ends <= 0.5, f"widths.ends must be in [0, 0.5], got {self.ends}")
        _require(
            self.train != "random" or not self.ends, f"widths.ends must be 0 where widths are random, got {self.ends}"
        )
        _require(0 <= self.distillation <= 1, f"widths.distillation must be in [0, 1], got {self.distillation}")
        _require(
            self.calibrate == 0 or self.calibrate >= 2,
            f"widths.calibrate must be 0 or at least 2, the narrowest width and 1, got {self.calibrate}",
        )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The recipe.

    Attributes:
        epochs: passes over the training images.
        batch_size: over all devices.
        seed: of weights, order, augmentation and random widths.
        optimizer: `sgd` or `adamw`.
        learning_rate: the first one.
        schedule: `step`, `linear` or `cosine`, see `training.optim.learning_rate`.
        decay_at, decay_factor: of `step`.
        momentum: of SGD, or the first moment's of AdamW.
        weight_decay: of every parameter; SGD adds it to the gradient, AdamW to the step.
        log_every: steps between two lines of metrics.
        checkpoint_minutes: time between two checkpoints; one is written at the end in any case.
        snapshots: states to keep on the way, evenly spaced; in the workdir's folder of that name.
        steps_per_dispatch: 0 for the platform's best.
    """

    epochs: float = 20.0
    batch_size: int = 128
    seed: int = 0
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.01
    schedule: Literal["step", "linear", "cosine"] = "step"
    decay_at: tuple[float, ...] = (0.5, 0.75)
    decay_factor: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    log_every: int = 50
    checkpoint_minutes: float = 2.0
    snapshots: int = 0
    steps_per_dispatch: int = 0

    def __post_init__(self):
        _require(0 < self.epochs < float("inf"), f"train.epochs must be above 0 and finite, got {self.epochs}")
        _require(self.batch_size >= 1, f"train.batch_size must be at least 1, got {self.batch_size}")
        _require(self.seed >= 0, f"train.seed must be 0 or more, got {self.seed}")
        _require(self.learning_rate > 0, f"train.learning_rate must be above 0, got {self.learning_rate}")
        _require(self.decay_factor > 0, f"train.decay_factor must be above 0, got {self.decay_factor}")
        _require(0 <= self.momentum < 1, f"train.momentum must be in [0, 1), got {self.momentum}")
        _require(self.weight_decay >= 0, f"train.weight_decay must be 0 or more, got {self.weight_decay}")
        _require(
            all(0 < a < 1 for a in self.decay_at) and list(self.decay_at) == sorted(set(self.decay_at)),
            f"train.decay_at must be ascending shares in (0, 1), got {self.decay_at}",
        )
        _require(self.log_every >= 1, f"train.log_every must be at least 1, got {self.log_every}")
        _require(
            self.checkpoint_minutes >= 0, f"train.checkpoint_minutes must be 0 or more, got {self.checkpoint_minutes}"
        )
        _require(self.snapshots >= 0, f"train.snapshots must be 0 or more, got {self.snapshots}")
        _require(
            self.steps_per_dispatch >= 0, f"train.steps_per_dispatch must be 0 or more, got {self.steps_per_dispatch}"
        )


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    widths: WidthsConfig = WidthsConfig()
    train: TrainConfig = TrainConfig()

    def __post_init__(self):
        model, widths = self.model, self.widths
        _require(
            widths.how == "sequential" or (model.conv, model.norm) == ("triangular", "shared"),
            "widths.how must be 'sequential' unless model.conv is 'triangular' and model.norm is 'shared', got "
            f"{widths.how!r} with {model.conv!r} and {model.norm!r}",
        )
        _require(
            model.norm != "switchable" or (widths.train == "fixed" and 1 in widths.fixed),
            "widths.train must be 'fixed' and widths.fixed hold 1 where model.norm is 'switchable', got "
            f"{widths.train!r} and {widths.fixed}",
        )
        _require(
            not widths.calibrate or model.norm == "calibrated",
            f"widths.calibrate must be 0 unless model.norm is 'calibrated', got {widths.calibrate} with {model.norm!r}",
        )
        _require(
            model.core <= widths.minimum,
            f"model.core must be at most widths.minimum={widths.minimum}, got {model.core}",
        )


# May differ between a run and its continuation: they do not change the result.
FREE_ON_RESUME = ("data.data_dir", "data.test_split", "train.log_every", "train.checkpoint_minutes", "train.snapshots")


def default() -> ml_collections.ConfigDict:
    """A config with every field at its default, for a file in `configs/` to change."""
    return ml_collections.ConfigDict(dataclasses.asdict(Config()))


def parse(config: Mapping[str, Any] | ml_collections.ConfigDict) -> Config:
    """Checks a config and freezes it.

    Raises:
        ConfigError: if a field is unknown, of another type, or has a value that makes no sense.
    """
    values = config.to_dict() if isinstance(config, ml_collections.ConfigDict) else config
    return _build(Config, values, "config")


def _build(kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must hold fields, got {values!r}")
    hints = typing.get_type_hints(kind)
    for name in values:
        if name not in hints:
            raise ConfigError(f"{where} has no field {name!r}; it has {', '.join(hints)}")
    built = {}
    for name, value in values.items():
        hint, place = hints[name], f"{where}.{name}"
        built[name] = _build(hint, value, place) if dataclasses.is_dataclass(hint) else _convert(hint, value, place)
    return kind(**built)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is Literal:
        options = typing.get_args(hint)
        _require(value in options, f"{where} must be one of {', '.join(map(repr, options))}, got {value!r}")
        return value
    if origin is tuple:
        _require(isinstance(value, list | tuple), f"{where} must be a list, got {value!r}")
        return tuple(_convert(typing.get_args(hint)[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    _require(
        isinstance(value, hint) and (hint is bool or not isinstance(value, bool)),
        f"{where} must be of type {hint.__name__}, got {value!r}",
    )
    return value


def save(config: Config, path: pathlib.Path) -> None:
    """Writes a config as JSON."""
    files.write_json(path, dataclasses.asdict(config))


def load(path: pathlib.Path) -> Config:
    """Reads a config that `save` wrote.

    Raises:
        ConfigError: if the file is not there or not such a config.
    """
    try:
        return parse(json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{path} is not there: is {path.parent} the workdir of a run?") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every field by its dotted name."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), prefix + field.name
        found |= flat(value, name + ".") if dataclasses.is_dataclass(value) else {name: value}
    return found


def check_same_run(saved: Config, wanted: Config, where: pathlib.Path) -> None:
    """Raises ConfigError naming the fields that differ, but for those that do not change the result."""
    old, new = flat(saved), flat(wanted)
    changed = [f"{name} (was {old[name]!r}, now {new[name]!r})" for name in new if old[name] != new[name]]
    changed = [change for change in changed if not change.startswith(FREE_ON_RESUME)]
    if changed:
        raise ConfigError(f"{where} holds a run with another config: {'; '.join(changed)}. Choose another --workdir")
