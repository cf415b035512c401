"""What is kept of a training run: one JSON file with its curves, its cost and where it ran."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from awn_jax import sealed
from awn_jax.errors import UserError
from awn_jax.evaluation import Sweep, report
from awn_jax.paper.targets import PAPERS_MODEL, Setting, Trial


class RecordError(UserError, ValueError):
    """A record cannot be read, or does not belong with others; the message says which and what to do."""


@dataclasses.dataclass(frozen=True)
class Record:
    """One finished training run.

    Attributes:
        dataset, method, seed: which, see `Trial`.
        epochs, steps: its length.
        changes: text of config fields that are not the config file's own, by dotted name; not those that leave the result as
            it is.
        seconds: of training, from the rates in its log.
        hardware, versions: where it ran.
        command: that repeats it.
        curves: by view: `test` (every distinct sub-network; for a US-Net, with statistics of every one), `test 4`, `test 10`,
            `test 20` (a US-Net with statistics of so many evenly spaced widths), `train` (on the training images, at the four
            widths of the paper).
        model: the network, see `Setting`.
        checkpoint: step of the checkpoint that the curves were made from; None in records of earlier versions.
        fingerprint: of the training images, see `data.fingerprint`; None in records of earlier versions.
    """

    dataset: str
    method: str
    seed: int
    epochs: float
    steps: int
    changes: dict[str, Any]
    seconds: float
    hardware: str
    versions: dict[str, str]
    command: str
    curves: dict[str, Sweep]
    model: str = PAPERS_MODEL
    checkpoint: int | None = None
    fingerprint: str | None = None

    @property
    def trial(self) -> Trial:
        """Which run it is of."""
        return Trial(Setting(self.model, self.dataset), self.method, self.seed)


Records = Mapping[Trial, Record]


def save(record: Record, folder: pathlib.Path) -> None:
    """Writes the record into a folder, under its trial's name."""
    curves = {view: report.to_json(curve) for view, curve in record.curves.items()}
    content = {**vars(record), "curves": curves}
    sealed.write(folder / f"{record.trial.name}.json", content, indent=1)


def load(path: pathlib.Path) -> Record:
    """Reads a record.

    Raises:
        RecordError: if the file is no such record.
    """
    try:
        content = sealed.read(path)
        curves = {view: report.from_json(values) for view, values in content.pop("curves").items()}
        return Record(**content, curves=curves)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordError(f"{path} is no record of a run ({error}); delete it to make it again") from error


def load_all(folder: pathlib.Path) -> dict[Trial, Record]:
    """All records of a folder.

    Raises:
        RecordError: if a file is no record, or two records must not stand in one table: of one trial, of other training images,
            or of one method with other configs.
    """
    found: dict[Trial, Record] = {}
    for path in sorted(folder.glob("*.json")):
        record = load(path)
        if record.trial in found:
            raise RecordError(f"{path} is a second record of {record.trial.name}: delete one of them")
        for trial, other in found.items():
            _check_comparable(trial, other, record)
        found[record.trial] = record
    return found


def _check_comparable(trial: Trial, one: Record, other: Record) -> None:
    if trial.setting != other.trial.setting:
        return
    names = f"the records of {trial.name} and {other.trial.name} are of runs with"
    if None not in (one.fingerprint, other.fingerprint) and one.fingerprint != other.fingerprint:
        raise RecordError(f"{names} other training images: they must not stand in one table")
    if trial.method == other.method and one.changes != other.changes:
        raise RecordError(f"{names} {_told(one.changes)} and {_told(other.changes)}: they must not share a row")


def check_same_config(records: Records, wanted: Iterable[Trial], changes: Mapping[str, Any]) -> None:
    """Makes sure that the records of these runs are of this config: runs of 6 and of 100 epochs do not share a row.

    Args:
        records: at hand.
        wanted: runs.
        changes: text of config fields that are not the config file's own, by dotted name.

    Raises:
        RecordError: if one has other changes to its method's config.
    """
    for trial in wanted:
        if trial in records and records[trial].changes != changes:
            raise RecordError(
                f"the record of {trial.name} is of a run with {_told(records[trial].changes)}, this command has "
                f"{_told(changes)}: give it an --out and --runs of its own"
            )


def _told(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in changes.items()) or "no --config.… flags"
