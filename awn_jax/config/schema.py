"""What a run is told: frozen dataclasses, made once from a config file or from the JSON saved beside the results."""

import dataclasses
from typing import Any, Literal

from awn_jax import families, models
from awn_jax import widths as width_arithmetic
from awn_jax.config.checks import ConfigError
from awn_jax.config.checks import require as _require
from awn_jax.config.taxonomy import TaxonomyConfig

# Of an image's side.
MOST_PIXELS = 1 << 14
# A state each.
MOST_SNAPSHOTS = 1000


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The images.

    Attributes:
        name: `digits`, `npz:PATH`, `folder:PATH`, `coco:PATH` or a TFDS name, see `data.load`.
        image_size: height and width in pixels, or one number for both, that images are brought to; empty for their own size.
        crop: share of an image's shorter side that is kept then, see `data.geometry.part`.
        fit: what is done about an image's proportions then: `crop` it, `pad` it, or `stretch` it, likewise.
        mean, std: of each plane, where white is 1; empty to compute them from the training images.
        augment: transforms for training, as `random_resized_crop, flip, mixup(alpha=0.2)`, see `data.transforms.parse`; `none`;
            `module:function` is one of one's own.
        shift: of transforms that have an argument of this name, up to so many pixels each way.
        data_dir: of TFDS; empty for its default.
        train_split, test_split: names of the splits.
        validation: share of the training images that is kept apart, the same of each class, and scored while training.
        validation_split: name of a split to score while training, instead.
        test_share: of a folder with classes and no splits, how much of each class is held out as `test`.
        split_seed: of what `validation` and `test_share` draw.
        skip_bad: decode all pictures before training, and leave out those that cannot be read, instead of ending at the first.
        feed: `device`, `host`, `grain` (worker processes) or `auto`, see `data.make_feed`; it changes no result.
        workers: of `grain`; 0 for one for each processor.
    """

    name: str = "digits"
    image_size: tuple[int, ...] = ()
    crop: float = 1.0
    fit: Literal["crop", "pad", "stretch"] = "crop"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    augment: str = "none"
    shift: int = 4
    data_dir: str = ""
    train_split: str = "train"
    test_split: str = "test"
    validation: float = 0.0
    validation_split: str = ""
    test_share: float = 0.2
    split_seed: int = 0
    skip_bad: bool = False
    feed: Literal["auto", "device", "host", "grain"] = "auto"
    workers: int = 0

    def __post_init__(self):
        _require(bool(self.name), "data.name must not be empty")
        _require(
            len(self.image_size) <= 2 and all(1 <= n <= MOST_PIXELS for n in self.image_size),
            f"data.image_size must be height and width, or one number for both, up to {MOST_PIXELS}, got {self.image_size}",
        )
        _require(0 < self.crop <= 1, f"data.crop must be in (0, 1], got {self.crop}")
        _require(
            self.fit == "crop" or self.crop == 1, f"data.crop must be 1 where data.fit is {self.fit!r}, got {self.crop}"
        )
        _require(0 <= self.validation < 1, f"data.validation must be in [0, 1), got {self.validation}")
        _require(
            not (self.validation and self.validation_split),
            f"data.validation must be 0 where data.validation_split is given, got {self.validation}",
        )
        _require(0 < self.test_share < 1, f"data.test_share must be in (0, 1), got {self.test_share}")
        _require(self.split_seed >= 0, f"data.split_seed must be 0 or more, got {self.split_seed}")
        _require(self.workers >= 0, f"data.workers must be 0 or more, got {self.workers}")
        _require(
            len(self.mean) == len(self.std), f"data.mean and data.std must be equally long, got {self.mean}, {self.std}"
        )
        _require(0 <= self.shift <= MOST_PIXELS, f"data.shift must be from 0 to {MOST_PIXELS} pixels, got {self.shift}")
        _require(all(abs(m) <= 1e6 for m in self.mean), f"data.mean must be within 1e6 of 0, got {self.mean}")
        _require(all(1e-6 <= s <= 1e6 for s in self.std), f"data.std must be from 1e-6 to 1e6, got {self.std}")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network. In a config, its options stand beside its name.

    Attributes:
        name: of `models.MODELS`, or `module:Class` for one's own.
        options: the network's own, see `models.Options`.
    """

    name: str
    options: models.Options


@dataclasses.dataclass(frozen=True)
class WidthsConfig:
    """Which widths a step learns from, and how.

    Attributes:
        train: `all` distinct widths, the `fixed` ones, or `random`: the ends of [minimum, 1] and `passes − 2` draws.
        how: `nested` (one pass for all; needs a triangular network) or `sequential` (one for each, the
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
        calibration: `exact`, one layer after the other, each with those before it calibrated already; or `running`, all layers
            of a width in one pass.
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
    calibration: Literal["exact", "running"] = "exact"

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
        init_from: a trained network to begin from, see `weights.find`; empty for random weights.
        loss: `cross_entropy`, or `module:function` for one's own of outputs [N, B, …] and targets, giving [N, B].
        label_smoothing: share of each training label that all classes get in equal parts.
        optimizer: `sgd`, `adamw`, `lamb`, `lion`, or `module:function` for one's own, called as those of `training.optim`.
        learning_rate: the first one, after the warm-up.
        schedule: `step`, `linear` or `cosine`, see `training.optim.learning_rate`.
        decay_at, decay_factor: of `step`.
        warmup: epochs in which the schedule's rate is multiplied by a factor that rises to 1, step by step.
        momentum: of SGD, or the first moment's of the others.
        nesterov: take the gradient where the momentum leads.
        weight_decay: SGD adds it to the gradient, the others to the step.
        decays: `all` parameters, or `kernels`: weights of convolutions and dense layers, but no biases, norms and depthwise
            convolutions.
        clip: longest gradient, over all parameters; a longer one is scaled down. 0 for any.
        ema: decay of a moving average of weights and statistics, kept and swept beside them; 0 for none.
        accumulate: how many equal parts a batch is computed in, one after the other, for want of memory.
        compute: type to compute in while training; parameters, statistics and sums keep theirs. Empty for `model.dtype`.
        shard_optimizer: every device keeps a piece of the optimiser's state in place of all of it, see `training.sharding`.
        log_every: steps between two lines of metrics.
        checkpoint_minutes: time between two checkpoints; one is written at the end in any case.
        validate_every: epochs between two scores of the validation images; they are scored at the end in any case.
        snapshots: states to keep on the way, evenly spaced; in the workdir's folder of that name.
        steps_per_dispatch: 0 for the platform's best.
        implementation: of the convolutions while training; empty for the fastest, see `awn_kernels.triangular_conv`.
    """

    epochs: float = 20.0
    batch_size: int = 128
    seed: int = 0
    init_from: str = ""
    loss: str = "cross_entropy"
    label_smoothing: float = 0.0
    optimizer: str = "sgd"
    learning_rate: float = 0.01
    schedule: Literal["step", "linear", "cosine"] = "step"
    decay_at: tuple[float, ...] = (0.5, 0.75)
    decay_factor: float = 0.1
    warmup: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    decays: Literal["all", "kernels"] = "all"
    clip: float = 0.0
    ema: float = 0.0
    accumulate: int = 1
    compute: Literal["", "bfloat16"] = ""
    shard_optimizer: bool = False
    log_every: int = 50
    checkpoint_minutes: float = 2.0
    validate_every: float = 1.0
    snapshots: int = 0
    steps_per_dispatch: int = 0
    implementation: Literal["", "reference", "xla_staircase", "pallas_tpu", "pallas_mosaic_gpu"] = ""

    def __post_init__(self):
        _require(0 < self.epochs < float("inf"), f"train.epochs must be above 0 and finite, got {self.epochs}")
        _require(self.batch_size >= 1, f"train.batch_size must be at least 1, got {self.batch_size}")
        _require(self.seed >= 0, f"train.seed must be 0 or more, got {self.seed}")
        _require(self.learning_rate > 0, f"train.learning_rate must be above 0, got {self.learning_rate}")
        _require(self.decay_factor > 0, f"train.decay_factor must be above 0, got {self.decay_factor}")
        _require(0 <= self.momentum < 1, f"train.momentum must be in [0, 1), got {self.momentum}")
        _require(
            self.momentum > 0 or not self.nesterov, f"train.momentum must be above 0 for nesterov, got {self.momentum}"
        )
        _require(
            not self.nesterov or self.optimizer not in ("lamb", "lion"),
            f"train.nesterov must be false for lamb and lion, got true with {self.optimizer!r}",
        )
        _require(0 <= self.label_smoothing < 1, f"train.label_smoothing must be in [0, 1), got {self.label_smoothing}")
        _require(
            0 <= self.warmup <= self.epochs, f"train.warmup must be in [0, train.epochs], got {self.warmup} epochs"
        )
        _require(0 <= self.clip < float("inf"), f"train.clip must be 0 or more and finite, got {self.clip}")
        _require(0 <= self.ema < 1, f"train.ema must be in [0, 1), got {self.ema}")
        _require(
            self.accumulate >= 1 and not self.batch_size % self.accumulate,
            f"train.accumulate must divide train.batch_size={self.batch_size}, got {self.accumulate}",
        )
        _require(self.weight_decay >= 0, f"train.weight_decay must be 0 or more, got {self.weight_decay}")
        _require(
            all(0 < a < 1 for a in self.decay_at) and list(self.decay_at) == sorted(set(self.decay_at)),
            f"train.decay_at must be ascending shares in (0, 1), got {self.decay_at}",
        )
        _require(self.log_every >= 1, f"train.log_every must be at least 1, got {self.log_every}")
        _require(
            self.checkpoint_minutes >= 0, f"train.checkpoint_minutes must be 0 or more, got {self.checkpoint_minutes}"
        )
        _require(self.validate_every > 0, f"train.validate_every must be above 0, got {self.validate_every}")
        _require(
            0 <= self.snapshots <= MOST_SNAPSHOTS,
            f"train.snapshots must be from 0 to {MOST_SNAPSHOTS}, got {self.snapshots}",
        )
        _require(
            self.steps_per_dispatch >= 0, f"train.steps_per_dispatch must be 0 or more, got {self.steps_per_dispatch}"
        )


@dataclasses.dataclass(frozen=True)
class LogConfig:
    """Where a run tells what it does, besides `metrics.jsonl`.

    Attributes:
        tensorboard: event files, in the workdir's folder of that name.
    """

    tensorboard: bool = False


@dataclasses.dataclass(frozen=True)
class Config:
    """One run.

    Attributes:
        model, data, widths, train, log, taxonomy: see their classes.
        task: of `tasks.TASKS`, or `module:Class` for one's own.
    """

    model: ModelConfig
    data: DataConfig = DataConfig()
    widths: WidthsConfig = WidthsConfig()
    train: TrainConfig = TrainConfig()
    log: LogConfig = LogConfig()
    taxonomy: TaxonomyConfig = TaxonomyConfig()  # noqa: RUF009  as frozen as the others
    task: str = "classify"

    def __post_init__(self):
        options, widths = self.model.options, self.widths
        _require(
            widths.how == "sequential" or options.family in families.NESTED,
            f"widths.how must be 'sequential' unless model.family is one of {families.NESTED}, got {widths.how!r} with "
            f"{options.family!r}",
        )
        _require(
            options.family not in ("s_net", "nested_net") or (widths.train == "fixed" and 1 in widths.fixed),
            f"widths.train must be 'fixed' and widths.fixed hold 1 where model.family is {options.family!r}, got "
            f"{widths.train!r} and {widths.fixed}",
        )
        _require(
            options.family != "single" or (widths.train, widths.fixed) == ("fixed", (1.0,)),
            "widths.train must be 'fixed' and widths.fixed (1.0,) where model.family is 'single', got "
            f"{widths.train!r} and {widths.fixed}",
        )
        _require(
            not widths.calibrate or options.family == "us_net",
            f"widths.calibrate must be 0 unless model.family is 'us_net', got {widths.calibrate} with {options.family!r}",
        )
        _require(
            options.core <= widths.minimum,
            f"model.core must be at most widths.minimum={widths.minimum}, got {options.core}",
        )
        for name, value in (("ema", self.train.ema), ("compute", self.train.compute)):
            _require(
                not value or options.dtype in ("float32", "float64"),
                f"train.{name} must come with weights of 32 bits or more, got {value!r} with model.dtype={options.dtype}",
            )


# May differ between a run and its continuation: they do not change the result.
FREE_ON_RESUME = frozenset(
    {
        "data.data_dir",
        "data.test_split",
        "log.tensorboard",
        "data.feed",
        "data.workers",
        "train.validate_every",
        "train.log_every",
        "train.checkpoint_minutes",
        "train.snapshots",
        "train.implementation",
        "train.shard_optimizer",
        "train.steps_per_dispatch",
    }
)


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every field by its dotted name; the options of the model stand beside its name."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        name = prefix + ("" if isinstance(value, models.Options) else f"{field.name}.")
        found |= flat(value, name) if dataclasses.is_dataclass(value) else {prefix + field.name: value}
    return found
