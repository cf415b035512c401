"""From a config to its parts: the network, the images, the widths to learn from, the optimiser."""

import pathlib

import optax
from flax import nnx
from jax.sharding import Mesh

from awn_jax import data
from awn_jax.config import Config, ConfigError, blaming
from awn_jax.models import AnyWidthClassifier, LeNet3C1L, axes
from awn_jax.training import WidthPlan, checkpoints, init_state, merge, optim, plan

MODELS = {"lenet_3c1l": LeNet3C1L}


def load_data(config: Config, split: str) -> data.ImageSet:
    """Reads a split; `train` and `test` are what the config calls so, anything else is taken as the set's own name."""
    names = {"train": config.data.train_split, "test": config.data.test_split}
    images = data.load(config.data.name, names.get(split, split), data_dir=config.data.data_dir or None)
    planes = images.images.shape[-1]
    if planes != len(config.data.mean):
        raise ConfigError(f"data.mean must have one number for each of {planes} planes, got {config.data.mean}")
    return images


def preparation(config: Config) -> data.Preparation:
    """Normalisation and augmentation."""
    return data.Preparation(config.data.mean, config.data.std, config.data.augment)


def make_model(config: Config, image_size: tuple[int, int, int], classes: int) -> AnyWidthClassifier:
    """The network with its initial weights, which depend on the seed alone."""
    model = config.model
    with blaming("model"):
        return MODELS[model.name](
            image_size,
            classes,
            channels=model.channels,
            group=model.group,
            fan_in=model.fan_in,
            implementation=model.implementation or None,
            rngs=nnx.Rngs(config.train.seed),
        )


def make_feed(config: Config, images: data.ImageSet, mesh: Mesh, *, on_device: bool | None = None) -> data.Feed:
    """The batches, see `data.make_feed`."""
    train = config.train
    with blaming("train"):
        return data.make_feed(images, mesh, seed=train.seed, batch_size=train.batch_size, on_device=on_device)


def make_plan(config: Config, model: AnyWidthClassifier) -> WidthPlan:
    """The widths that a step learns from."""
    settings, total = config.widths, config.widths.total or None
    match settings.train:
        case "fixed":
            return plan.fixed(settings.fixed, total=total)
        case "random":
            return plan.random(axes(model), settings.minimum, settings.passes, total=total)
    return plan.every(axes(model), settings.minimum, total=total)


def count_steps(config: Config, images: int) -> int:
    """Steps of the whole run: every image is seen `epochs` times, to the nearest whole batch."""
    return max(1, round(config.train.epochs * images / config.train.batch_size))


def make_optimizer(config: Config, steps: int) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimiser and its learning rate."""
    train = config.train
    rate = optim.learning_rate(train.schedule, train.learning_rate, steps, at=train.decay_at, factor=train.decay_factor)
    return optim.sgd(rate, momentum=train.momentum, weight_decay=train.weight_decay), rate


def restore(config: Config, workdir: pathlib.Path, images: data.ImageSet, mesh: Mesh) -> tuple[AnyWidthClassifier, int]:
    """The network of a run's newest checkpoint, and the step that it was written at.

    Raises:
        CheckpointError: if there is none or it cannot be read.
    """
    model = make_model(config, images.images.shape[1:], images.classes)
    optimizer, _ = make_optimizer(config, 1)
    store = checkpoints.Checkpoints(workdir / "checkpoints", create=False)
    state = store.restore(init_state(model, optimizer, config.train.seed), mesh)
    store.close()
    return merge(model, state), int(state.step)
