"""What a workdir is: a config, facts about its images, checkpoints, and the mark that training has ended.

A run opens from its folder alone, without the images that it was trained on and without an optimiser.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from awn_jax import build, data, files, sealed, tasks, training
from awn_jax import config as configs
from awn_jax.errors import UserError
from awn_jax.models import AnyWidthNetwork
from awn_jax.training import calibration, checkpoints

# What training writes into a workdir beside its checkpoints, and what its sweep writes there.
SWEEP_FILES = ("sweep.json", "sweep.csv", "sweep.png")
FILES = ("config.json", "run.json", "environment.json", "finished.json", "metrics.jsonl", *SWEEP_FILES)


class RunError(UserError):
    """A folder holds no run, or another one than is wanted; the message says which and what to do."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a run has to know of its images.

    Attributes:
        image_size: height, width and planes.
        classes: how many things the outputs tell apart.
        class_names: one for each of them, or none.
        mean, std: of each plane, where white is 1.
        fingerprint: of the training images and their labels.
        count: of the training images.
        superclasses: the number of each class's superclass, where the task asks for them.
        superclass_names: one for each superclass.
    """

    image_size: tuple[int, int, int]
    classes: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    count: int
    superclasses: tuple[int, ...] = ()
    superclass_names: tuple[str, ...] = ()

    @property
    def hierarchy(self) -> tasks.Hierarchy | None:
        """Of the classes, where the task asks for them."""
        return tasks.Hierarchy(self.superclasses, self.superclass_names) if self.superclasses else None

    @classmethod
    def of(cls, config: configs.Config, images: data.Examples) -> "Facts":
        """Those of a set of training images."""
        mean, std = config.data.mean, config.data.std
        if not mean:
            mean, std = data.sample_moments(images)
        fingerprint = data.fingerprint(images)
        found = build.hierarchy(config, images)
        names = build.task(config, found).named(images.class_names, images.point_names)
        own = images.image_size, len(names) or images.classes, names
        groups = (found.of, found.names) if found else ()
        return cls(*own, mean, std, fingerprint, len(images), *groups)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Facts":
        """Those of a JSON object.

        Raises:
            KeyError, TypeError, ValueError: if it holds something else.
        """
        lists = {name: tuple(values[name]) for name in ("image_size", "class_names", "mean", "std")}
        lists |= {name: tuple(values.get(name, ())) for name in ("superclasses", "superclass_names")}
        return cls(**{**values, **lists})


@dataclasses.dataclass(frozen=True)
class Run:
    """A workdir.

    Attributes:
        folder: of the run.
        config: that it was begun with.
        facts: about its images.
    """

    folder: pathlib.Path
    config: configs.Config
    facts: Facts

    @property
    def task(self) -> tasks.Task:
        """What the network is for."""
        return build.task(self.config, self.facts.hierarchy)

    @property
    def outputs(self) -> int:
        """How many outputs the network has in each place."""
        return self.task.outputs(self.facts.classes)

    @property
    def preparation(self) -> data.Preparation:
        """Normalisation, and augmentation while training."""
        settings = self.config.data
        with build.naming("data"):
            return data.Preparation(
                self.facts.mean,
                self.facts.std,
                settings.augment,
                settings.shift,
                classes=self.facts.classes,
                size=self.facts.image_size[:2],
            )

    def network(self) -> AnyWidthNetwork:
        """The network with its initial weights."""
        return build.network(self.config, self.facts.image_size, self.outputs)

    def images(self, split: str, data_dir: str | None = None) -> data.Examples:
        """Images of a split, of the size that the network takes.

        Args:
            split: `train`, `test`, `validation`, or a name of the set's own.
            data_dir: where TFDS keeps its sets; None for the config's.

        Raises:
            RunError: if they have another size, or more classes than the run.
            DataError: if they cannot be had.
        """
        found = build.images(self.config, split, data_dir, self.facts.image_size)
        if found.image_size != self.facts.image_size:
            raise RunError(
                f"{self.folder} is of images of size {self.facts.image_size}, those of {split} have {found.image_size}"
            )
        names = self.task.named(found.class_names, found.point_names)
        if names and self.facts.class_names and names != self.facts.class_names:
            raise RunError(
                f"{self.folder} has classes {_few(self.facts.class_names)}, those of {split} are {_few(names)}"
            )
        if not isinstance(found, data.ImageSet):
            return found
        if int(found.labels.max()) >= self.facts.classes:
            raise RunError(
                f"{self.folder} has {self.facts.classes} classes, the labels of {split} go up to {int(found.labels.max())}"
            )
        return dataclasses.replace(found, classes=self.facts.classes, class_names=self.facts.class_names)

    def store(self, *, create: bool = False) -> checkpoints.Checkpoints:
        """The run's checkpoints; made only by the process that trains.

        Raises:
            CheckpointError: if there are none.
        """
        return checkpoints.Checkpoints(self.folder / "checkpoints", create=create)

    def restore(
        self, step: int | None = None, *, ema: bool = False, mesh: Mesh | None = None, data_dir: str | None = None
    ) -> tuple[AnyWidthNetwork, int]:
        """The network of a checkpoint in inference mode, and the step that it was written at.

        If its norms need calibration, and the run has not ended with it yet, that is done now, from the training images.

        Args:
            step: which; None for the newest.
            ema: the moving average of the network, where `train.ema` keeps one.
            mesh: devices; None for all.
            data_dir: where TFDS keeps its sets, should they be needed; None for the config's.

        Raises:
            RunError: if a moving average is asked for, and the run keeps none.
            CheckpointError: if there is no checkpoint, or it cannot be read.
        """
        if ema and not self.config.train.ema:
            raise RunError(f"{self.folder} keeps no moving average of its weights: its train.ema is 0")
        mesh = data.data_mesh() if mesh is None else mesh
        store = self.store()
        model = self.network()
        _, params, rest = training.split(model)
        averages = (params, rest) if ema else None
        like = training.TrainState(jnp.zeros((), jnp.int32), params, rest, None, None, averages)
        try:
            state = _newest(store, like, mesh, step)
        finally:
            store.close()
        model = training.merge(model, state, ema=ema)
        model.eval()
        if not calibration.calibrated(model):
            build.calibrate(self.config, model, self.images("train", data_dir), self.preparation, mesh)
        return model, int(state.step)

    @property
    def finished(self) -> int | None:
        """The step at which training ended; None if it has not."""
        try:
            return int(sealed.read(self.folder / "finished.json")["step"])
        except FileNotFoundError:
            return None
        except (files.UnreadableError, KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{self.folder / 'finished.json'} is damaged ({error}): train again, which goes on"
            ) from error

    def check_current(self, result: Mapping[str, Any], name: str) -> None:
        """Makes sure that a result is of the network as it is now.

        Args:
            result: its content, which says the `step` that it was made from.
            name: of its file.

        Raises:
            RunError: if it is of another step than the newest checkpoint's.
        """
        own = self.store()
        newest = own.latest_step()
        own.close()
        if result.get("step") != newest:
            raise RunError(
                f"{self.folder / name} is of step {result.get('step')}, the newest checkpoint of step {newest}: make it again"
            )


def _few(names: Sequence[str], most: int = 5) -> str:
    """Names in a row, the first of them where they are many."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _newest(store: checkpoints.Checkpoints, like: Any, mesh: Mesh, step: int | None) -> Any:
    """A checkpoint; where the newest one is asked for and a run that goes on has put another in its place, that one."""
    found = store.latest_step() if step is None else step
    try:
        return store.restore(like, mesh, found)
    except checkpoints.CheckpointError:
        store.refresh()
        if step is not None or store.latest_step() == found:
            raise
        return store.restore(like, mesh)


def open_run(folder: pathlib.Path | str) -> Run:
    """Opens the workdir of a run.

    Raises:
        RunError: if it holds none.
    """
    place = pathlib.Path(folder).expanduser()
    try:
        config = configs.load(place / "config.json")
        return Run(place, config, sealed.read_edited(place / "run.json", Facts.read))
    except FileNotFoundError:
        raise RunError(f"{place / 'run.json'} is not there: is {place} the workdir of a run?") from None
    except (configs.ConfigError, files.UnreadableError) as error:
        raise RunError(str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{place / 'run.json'} is damaged: {type(error).__name__}: {error}") from error


def begin(folder: pathlib.Path, config: configs.Config, images: data.Examples) -> Run:
    """The run of a workdir, begun now, or gone on with.

    Raises:
        ConfigError: if the folder holds a run with another config.
        RunError: if it holds one of other images.
    """
    facts = Facts.of(config, images)
    if (folder / "config.json").exists():
        saved = open_run(folder)
        configs.check_same_run(saved.config, config, folder)
        if saved.facts.fingerprint != facts.fingerprint:
            raise RunError(
                f"{folder} was begun with other training images than {config.data.name} holds now "
                f"({saved.facts.count:,} then, {facts.count:,} now): put those back, or choose another --workdir"
            )
        if saved.facts.hierarchy != facts.hierarchy:
            raise RunError(
                f"{folder} was begun with other superclasses than taxonomy.map={config.taxonomy.map!r} gives now"
            )
        if other := _other(saved.facts, facts):
            raise RunError(f"{folder / 'run.json'} is damaged: it says another {', '.join(other)} than the images have")
        return Run(folder, config, saved.facts)
    return Run(folder, config, facts)


def _other(saved: Facts, now: Facts) -> list[str]:
    """What differs of that which follows from the training images alone; moments may, by the rounding of another machine."""
    close = {name: np.allclose(getattr(saved, name), getattr(now, name), rtol=1e-5) for name in ("mean", "std")}
    return [
        name
        for name in ("image_size", "count", *close)
        if not close.get(name, getattr(saved, name) == getattr(now, name))
    ]


def save(run: Run) -> None:
    """Writes what `open_run` reads."""
    sealed.write(run.folder / "run.json", dataclasses.asdict(run.facts))
    configs.save(run.config, run.folder / "config.json")
