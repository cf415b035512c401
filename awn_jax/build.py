"""From a config to its parts: the network, the images, the widths to learn from, the optimiser."""

import contextlib
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

from awn_jax import data, families, models, registry, tasks, widths
from awn_jax.config import Config, ConfigError
from awn_jax.errors import UserError
from awn_jax.models import AnyWidthNetwork, axes, distinct_widths
from awn_jax.training import Recipe, WidthPlan, calibration, optim, plan

# Of networks that must be calibrated or scored width by width.
MOST_WIDTHS = 64


@contextlib.contextmanager
def naming(section: str) -> Iterator[None]:
    """Turns the ValueError of a part that does not accept its settings into a ConfigError that names the section."""
    try:
        yield
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"config.{section}: {error}") from error


def images(
    config: Config, split: str, data_dir: str | None = None, image_size: tuple[int, ...] | None = None
) -> data.Examples:
    """A split: in memory if it takes less than 2 GiB there, and training does not transform its images as they are read.

    Args:
        config: of the run.
        split: `train`, `test` and `validation` are what the config calls so, anything else is the set's own name.
        data_dir: where TFDS keeps its sets; None for the config's.
        image_size: height and width in pixels, and planes, of the run's images; None where that is yet to be found out.

    Raises:
        ConfigError: if a mean is given for another number of planes.
        DataError: if the images cannot be had.
    """
    settings = config.data
    with naming("data"):
        moved = data.transforms.parse(settings.augment, {"classes": 0, "size": (0, 0), "shift": 0}).host
    with naming("task"):
        entries = tasks.find(config.task).entries
    share = settings.validation if split in ("train", "validation") else 0
    names = {"train": settings.train_split, "test": settings.test_split, "validation": settings.validation_split}
    names["validation"] = settings.train_split if share else names["validation"] or split
    found = data.load(
        settings.name,
        names.get(split, split),
        data_dir=data_dir or settings.data_dir or None,
        image_size=settings.image_size if image_size is None else image_size,
        crop=settings.crop if settings.image_size else None,
        skip_bad=settings.skip_bad,
        test_share=settings.test_share,
        seed=settings.split_seed,
        entries=entries,
        fit=settings.fit,
    )
    planes = found.image_size[2]
    if settings.mean and planes != len(settings.mean):
        raise ConfigError(
            f"data.mean must have one number for each of {planes} planes, or be () as data.std, to be computed, got "
            f"{settings.mean}"
        )
    if share:
        kept, held = data.stratified(found.labels, share, settings.split_seed, "data.validation")
        found = found.select(kept if split == "train" else held)
    stays = split == "train" and (moved or settings.feed == "grain")
    return found if stays or found.nbytes > data.LARGE else data.in_memory(found)


def network(config: Config, image_size: Sequence[int], outputs: int, *, implementation: str = "") -> AnyWidthNetwork:
    """The network with its initial weights, which depend on the seed alone.

    Args:
        config: of the run.
        image_size: height, width and planes.
        outputs: how many it has in each place, see `Task.outputs`.
        implementation: of the convolutions; empty for the fastest.

    Raises:
        ConfigError: if the network does not accept its options, or images of this size.
    """
    kind: Any = models.find(config.model.name)
    options = config.model.options

    def make(until: Sequence[widths.Width] | None = None) -> AnyWidthNetwork:
        family = families.make(options.family, fixed=config.widths.fixed, until=until)
        size = tuple(int(n) for n in image_size)
        rngs = nnx.Rngs(config.train.seed)
        return kind(size, outputs, options, family=family, implementation=implementation or None, rngs=rngs)

    with naming("model"):
        if options.family not in ("s_net", "us_net"):
            return make()
        # The sub-networks follow from the axes of all layers, whatever the norms are.
        bare = nnx.eval_shape(make)
        at = calibrated_widths(config, bare) if options.family == "us_net" else sorted(config.widths.fixed)
        until = widths.last_of(axes(bare), at)
        if len(set(until)) < len(until):
            raise ConfigError(f"widths.fixed must be different sub-networks of {config.model.name}, got {tuple(at)}")
        return make(until)


def calibrated_widths(config: Config, model: nnx.Module) -> tuple[float, ...]:
    """The widths that a network is calibrated at after training.

    Raises:
        ConfigError: if they are all sub-networks, and those are many.
    """
    settings = config.widths
    at = evenly_spaced(settings.calibrate, model, settings.minimum)
    if len(at) > MOST_WIDTHS:
        raise ConfigError(
            f"widths.calibrate must be in [2, {MOST_WIDTHS}] for a network of {len(at)} sub-networks, unless model.grid brings "
            f"their number down, got {settings.calibrate}"
        )
    return at


def evenly_spaced(count: int, model: nnx.Module, minimum: float) -> tuple[float, ...]:
    """So many widths in [minimum, 1]; 0 for one of each distinct sub-network."""
    return tuple(np.linspace(minimum, 1, count).round(6).tolist()) if count else distinct_widths(model, minimum)


def hierarchy(config: Config, images: data.Examples) -> tasks.Hierarchy | None:
    """The superclasses of the classes, where the task asks for them: those that the config gives, or the images' own.

    Raises:
        ConfigError: if there are none, or they do not fit the classes.
    """
    if config.task != tasks.Taxonomy.name:
        return None
    settings, known = config.taxonomy, tasks.HIERARCHIES.get(config.data.name.partition(":")[0])
    with naming("taxonomy"):
        if settings.groups:
            return tasks.Hierarchy.numbered(settings.groups, (), images.classes)
        if settings.map:
            return tasks.Hierarchy.read(pathlib.Path(settings.map), images.class_names)
        if images.superclasses:
            return tasks.Hierarchy.numbered(images.superclasses, images.superclass_names, images.classes)
        if known:
            return tasks.Hierarchy.grouped(known, images.class_names)
    raise ConfigError(
        f"taxonomy.map or taxonomy.groups must say the superclasses of {config.data.name}, whose images do not"
    )


def task(config: Config, hierarchy: tasks.Hierarchy | None = None) -> tasks.Task:
    """What the network is for.

    Args:
        config: of the run.
        hierarchy: of the classes, where the task asks for them.
    """
    with naming("task"):
        smoothing, fine_from = config.train.label_smoothing, config.taxonomy.fine_from
        return tasks.make(config.task, config.train.loss, smoothing, hierarchy, fine_from)


def feed(config: Config, images: data.Examples, mesh: Mesh, transforms: data.Transforms = data.UNCHANGED) -> data.Feed:
    """The batches, see `data.make_feed`."""
    with naming("train"):
        return data.make_feed(
            images,
            mesh,
            seed=config.train.seed,
            batch_size=config.train.batch_size,
            transforms=transforms,
            kind=config.data.feed,
            workers=config.data.workers,
        )


def check_transforms(config: Config, images: data.Examples, preparation: data.Preparation) -> None:
    """Makes sure that the transforms of a config take its images.

    Args:
        config: of the run.
        images: those of training.
        preparation: of the images.

    Raises:
        ConfigError: if they do not.
    """
    stream = data.Stream(images, preparation.transforms, config.train.seed, config.train.batch_size)
    with naming("data"):
        try:
            example = stream.at(0)
        except UserError:  # a picture that cannot be read is told where it is needed
            return
        preparation.check(example)


def width_plan(config: Config, model: nnx.Module) -> WidthPlan:
    """The widths that a step learns from.

    Raises:
        ConfigError: if they are to be several, and the network has one sub-network alone.
    """
    settings = config.widths
    total, share = settings.total or None, settings.distillation
    if settings.train != "fixed" and not widths.cuts(axes(model), settings.minimum):
        raise ConfigError(
            f"widths.train must be 'fixed', or model.grid, model.group and widths.minimum leave a second sub-network in "
            f"[{settings.minimum}, 1], got {settings.train!r}"
        )
    with naming("widths"):
        match settings.train:
            case "fixed":
                return plan.fixed(settings.fixed, total=total, ends=settings.ends, distillation=share)
            case "random":
                layers = sum(path[-1] == "kernel" for path, _ in nnx.to_flat_state(nnx.state(model, nnx.Param)))
                return plan.random(
                    axes(model), settings.minimum, settings.passes, layers=layers, total=total, distillation=share
                )
        return plan.every(axes(model), settings.minimum, total=total, ends=settings.ends, distillation=share)


def calibrate(
    config: Config,
    model: AnyWidthNetwork,
    images: data.Examples,
    preparation: data.Preparation,
    mesh: Mesh,
    at: Sequence[float] | None = None,
    *,
    progress: bool = True,
) -> None:
    """Sets the statistics of a trained network's norms, in place; nothing happens if they need none.

    Args:
        config: of the run.
        model: of the run.
        images: those of training.
        preparation: of the images.
        mesh: devices.
        at: widths; None for those that the config names.
        progress: show a bar.
    """
    if calibration.norms(model):
        at = calibrated_widths(config, model) if at is None else at
        with naming("widths"):
            calibration.calibrate(
                model, images, preparation, mesh, at, exact=config.widths.calibration == "exact", progress=progress
            )


def recompute_statistics(
    config: Config, model: AnyWidthNetwork, images: data.Examples, preparation: data.Preparation, mesh: Mesh
) -> None:
    """Sets the statistics of a network whose weights are an average to those that they have, in place.

    Those of the control with ordinary layers and one batch norm stay as they are, averages: it has one set for widths that
    differ, which follows the passes of training.

    Args:
        config: of the run.
        model: the average.
        images: those of training.
        preparation: of the images.
        mesh: devices.
    """
    match config.model.options.family:
        case "us_net":
            calibrate(config, model, images, preparation, mesh, progress=False)
        case "shared_bn":
            return
        case "s_net" | "nested_net":
            calibration.recompute(model, images, preparation, mesh, config.widths.fixed)
        case _:
            calibration.recompute(model, images, preparation, mesh, (1.0,))


def steps(config: Config, count: int) -> int:
    """Steps of the whole run over so many images: each is seen `epochs` times, to the nearest whole batch."""
    exact = config.train.epochs * count / config.train.batch_size
    if not math.isfinite(exact) or exact > 2**31 - 2:
        raise ConfigError(f"train.epochs must give fewer than 2³¹ steps, got {config.train.epochs}")
    return max(1, round(exact))


def optimizer(config: Config, steps: int, model: nnx.Module) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimiser and its learning rate.

    Args:
        config: of the run.
        steps: of the whole run.
        model: whose parameters it is for.
    """
    train = config.train
    warmup = round(steps * train.warmup / train.epochs)
    rate = optim.learning_rate(
        train.schedule, train.learning_rate, steps, at=train.decay_at, factor=train.decay_factor, warmup=warmup
    )
    # What a config does not ask for, an optimiser of one's own need not know.
    asked: dict[str, Any] = {"nesterov": True} if train.nesterov else {}
    if train.decays == "kernels":
        asked["decays"] = optim.kernels(model)
    with naming("train"):
        make: Any = registry.resolve(train.optimizer, optim.OPTIMIZERS, "optimizer")
        chosen = make(rate, momentum=train.momentum, weight_decay=train.weight_decay, **asked)
    return optim.clipped(chosen, train.clip) if train.clip else chosen, rate


def recipe(config: Config, mesh: Mesh) -> Recipe:
    """How a step is computed.

    Raises:
        ConfigError: if the parts of a batch cannot be split over the devices.
    """
    train = config.train
    if train.accumulate > 1 and train.batch_size % (train.accumulate * mesh.size):
        raise ConfigError(
            f"train.accumulate must split train.batch_size={train.batch_size} into multiples of the {mesh.size} devices, got "
            f"{train.accumulate}"
        )
    return Recipe(train.ema, train.accumulate, train.compute, mesh if train.shard_optimizer else None)
