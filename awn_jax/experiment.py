"""From a config to its parts: the network, the images, the widths to learn from, the optimiser."""

import functools
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

from awn_jax import data
from awn_jax.config import Config, ConfigError, blaming
from awn_jax.layers import BatchNorm, CalibratedBatchNorm, Conv, SwitchableBatchNorm, TriConv
from awn_jax.models import AnyWidthClassifier, LeNet3C1L, axes, distinct_widths
from awn_jax.training import WidthPlan, calibration, checkpoints, init_state, merge, optim, plan
from awn_jax.widths import cuts

MODELS = {"lenet_3c1l": LeNet3C1L}
CONVS = {"triangular": TriConv, "ordinary": Conv}


def load_data(config: Config, split: str) -> data.ImageSet:
    """Reads a split; `train` and `test` are what the config calls so, anything else is taken as the set's own name."""
    names = {"train": config.data.train_split, "test": config.data.test_split}
    images = data.load(config.data.name, names.get(split, split), data_dir=config.data.data_dir or None)
    planes = images.images.shape[-1]
    if planes != len(config.data.mean):
        raise ConfigError(f"data.mean must have one number for each of {planes} planes, got {config.data.mean}")
    return images


def load_both(config: Config) -> tuple[data.ImageSet, data.ImageSet]:
    """The training and the test images.

    Raises:
        ConfigError: if their sizes differ, or the planes are not those of the config.
        DataError: if either cannot be had.
    """
    training, test = (load_data(config, split) for split in ("train", "test"))
    sizes = [images.images.shape[1:] for images in (training, test)]
    if sizes[0] != sizes[1]:
        raise ConfigError(f"data.test_split must hold images of size {sizes[0]}, those of training, got {sizes[1]}")
    return training, test


def preparation(config: Config) -> data.Preparation:
    """Normalisation and augmentation."""
    return data.Preparation(config.data.mean, config.data.std, config.data.augment, config.data.shift)


def make_model(config: Config, image_size: tuple[int, int, int], classes: int) -> AnyWidthClassifier:
    """The network with its initial weights, which depend on the seed alone."""
    model = config.model

    def make(norm: Callable[..., nnx.Module]) -> AnyWidthClassifier:
        return MODELS[model.name](
            image_size,
            classes,
            channels=model.channels,
            group=model.group,
            core=model.core,
            fan_in=model.fan_in,
            dropout=model.dropout,
            implementation=model.implementation or None,
            conv=CONVS[model.conv],
            norm=norm,
            rngs=nnx.Rngs(config.train.seed),
        )

    with blaming("model"):
        match model.norm:
            case "switchable":
                return make(functools.partial(SwitchableBatchNorm, at=config.widths.fixed))
            case "calibrated":
                # The sub-networks follow from the axes of all layers, whatever the norms are.
                edges = cuts(axes(nnx.eval_shape(lambda: make(BatchNorm))), config.widths.minimum)
                return make(functools.partial(CalibratedBatchNorm, edges=edges))
        return make(BatchNorm)


def make_feed(config: Config, images: data.ImageSet, mesh: Mesh, *, on_device: bool | None = None) -> data.Feed:
    """The batches, see `data.make_feed`."""
    train = config.train
    with blaming("train"):
        return data.make_feed(images, mesh, seed=train.seed, batch_size=train.batch_size, on_device=on_device)


def make_plan(config: Config, model: AnyWidthClassifier) -> WidthPlan:
    """The widths that a step learns from."""
    settings = config.widths
    total, share = settings.total or None, settings.distillation
    with blaming("widths"):
        match settings.train:
            case "fixed":
                return plan.fixed(settings.fixed, total=total, ends=settings.ends, distillation=share)
            case "random":
                return plan.random(axes(model), settings.minimum, settings.passes, total=total, distillation=share)
        return plan.every(axes(model), settings.minimum, total=total, ends=settings.ends, distillation=share)


def calibrate(
    config: Config, model: AnyWidthClassifier, images: data.ImageSet, mesh: Mesh, at: Sequence[float] | None = None
) -> None:
    """Leaves the norms of a trained network with the statistics of some widths only; computes those that are missing.

    Args:
        config: of the run.
        model: changed in place; nothing happens if its norms need no calibration.
        images: those of training.
        mesh: devices.
        at: widths; None for those that the config names.
    """
    if not calibration.norms(model):
        return
    if at is None:
        at = evenly_spaced(config.widths.calibrate, model, config.widths.minimum)
    missing = [width for width in at if not calibration.known(model, width)]
    calibration.calibrate(model, images, preparation(config), mesh, missing)
    calibration.keep_only(model, at)


def evenly_spaced(count: int, model: AnyWidthClassifier, minimum: float) -> tuple[float, ...]:
    """So many widths in [minimum, 1]; 0 for one of each distinct sub-network."""
    return tuple(np.linspace(minimum, 1, count).round(6).tolist()) if count else distinct_widths(model, minimum)


def count_steps(config: Config, images: int) -> int:
    """Steps of the whole run: every image is seen `epochs` times, to the nearest whole batch."""
    return max(1, round(config.train.epochs * images / config.train.batch_size))


def make_optimizer(config: Config, steps: int) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimiser and its learning rate."""
    train = config.train
    rate = optim.learning_rate(train.schedule, train.learning_rate, steps, at=train.decay_at, factor=train.decay_factor)
    make = optim.OPTIMIZERS[train.optimizer]
    return make(rate, momentum=train.momentum, weight_decay=train.weight_decay), rate


def restore(config: Config, workdir: pathlib.Path, images: data.ImageSet, mesh: Mesh) -> tuple[AnyWidthClassifier, int]:
    """The network of a run's newest checkpoint, and the step that it was written at.

    If its norms need calibration, and the run has not ended with it yet, that is done now, from the training images.

    Raises:
        CheckpointError: if there is none or it cannot be read.
    """
    model = make_model(config, images.images.shape[1:], images.classes)
    optimizer, _ = make_optimizer(config, 1)
    store = checkpoints.Checkpoints(workdir / "checkpoints", create=False)
    state = store.restore(init_state(model, optimizer, config.train.seed), mesh)
    store.close()
    model = merge(model, state)
    if not calibration.calibrated(model):
        calibrate(config, model, load_data(config, "train"), mesh)
    return model, int(state.step)
