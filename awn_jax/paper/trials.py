"""One training run after the other: its config, its workdir, its record."""

import dataclasses
import pathlib
import shlex
from collections.abc import Mapping

from awn_jax import config as configs
from awn_jax import loop
from awn_jax.config.schema import FREE_ON_RESUME
from awn_jax.errors import UserError
from awn_jax.paper import records
from awn_jax.paper.measure import measure
from awn_jax.paper.targets import TARGETS, Setting, Trial

# For figure 2, of the methods that it shows.
SNAPSHOTS = 40


class TrialError(UserError):
    """A training run failed or was stopped; the message says which, and what to do."""


@dataclasses.dataclass(frozen=True)
class Trainer:
    """Trains and records runs; other processes get a copy.

    Attributes:
        configs: folder of the config files.
        workdirs: folder of the workdirs.
        records: folder of the records.
        changes: text of new values of config fields, by dotted name.
        data_dir: where TFDS keeps its sets; None for the configs'.
    """

    configs: pathlib.Path
    workdirs: pathlib.Path
    records: pathlib.Path
    changes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    data_dir: str | None = None

    @property
    def recorded_changes(self) -> dict[str, str]:
        """The changes that make other results."""
        return {name: value for name, value in self.changes.items() if name not in FREE_ON_RESUME}

    def file(self, setting: Setting) -> pathlib.Path:
        """The config file of a network and a data set.

        Raises:
            TrialError: if it is not there.
        """
        path = self.configs / setting.config
        if not path.is_file():
            there = ", ".join(sorted(p.name for p in self.configs.glob("*.py"))) or "no config"
            raise TrialError(
                f"{path} is not there: --models and --datasets choose {self.configs}/MODEL_DATASET.py, --configs that folder, "
                f"which holds {there}"
            )
        return path

    def config(self, trial: Trial) -> configs.Config:
        """The config of a run.

        Raises:
            TrialError: if there is no such config file.
            ConfigError: if a change makes no sense.
        """
        changes = {**self.changes, "train.seed": str(trial.seed)}
        if trial.method in TARGETS["fig2"].methods:
            changes.setdefault("train.snapshots", str(SNAPSHOTS))
        if self.data_dir:
            changes["data.data_dir"] = self.data_dir
        return configs.read(f"{self.file(trial.setting)}:{trial.method}", changes)

    def command(self, trial: Trial) -> str:
        """The command that repeats a run."""
        changes = {"train.seed": str(trial.seed), **self.changes}
        flags = [f"--config.{name}={value}" for name, value in changes.items()]
        return shlex.join(["python", "train.py", f"--config={self.file(trial.setting)}:{trial.method}", *flags])

    def workdir(self, trial: Trial) -> pathlib.Path:
        """The workdir of a run."""
        return self.workdirs / trial.name

    def complete(self, trial: Trial) -> None:
        """Trains one to its end, or goes on with it, and writes its record.

        Raises:
            TrialError: if it is stopped.
            UserError: what `loop.train` raises.
        """
        outcome = loop.train(self.config(trial), self.workdir(trial))
        if outcome.stopped:
            raise TrialError(
                f"{trial.name} was stopped by {outcome.stopped} at step {outcome.step}; the same command goes on from there"
            )
        record = measure(outcome, trial, self.command(trial), self.recorded_changes, self.data_dir)
        records.save(record, self.records)
