"""What is kept of a run: one JSON file with its curves, its cost and where it ran."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from flax import nnx

from awn_jax import config as configs
from awn_jax import data, evaluation, experiment, files
from awn_jax.evaluation import Sweep
from awn_jax.models import AnyWidthClassifier
from awn_jax.paper.experiments import Experiment
from awn_jax.training import calibration

QUARTERS = (0.25, 0.5, 0.75, 1.0)
CALIBRATED = (4, 10, 20)


@dataclasses.dataclass(frozen=True)
class Record:
    """One finished run.

    Attributes:
        dataset, method, seed: which.
        epochs, steps: its length.
        changes: config fields that are not the config file's own, by dotted name.
        seconds: of training, from the rates in its log.
        hardware, versions: where it ran.
        command: that runs it.
        curves: by view: `test` (every distinct sub-network; for a US-Net, with statistics of every one), `test 4`, `test 10`,
            `test 20` (a US-Net with statistics of so many evenly spaced widths), `train` (at the four widths of the paper).
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


def save(record: Record, folder: pathlib.Path) -> None:
    """Writes `<dataset>-<method>-<seed>.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    name = Experiment(record.dataset, record.method, record.seed).name
    files.write_json(folder / f"{name}.json", dataclasses.asdict(record), indent=1)


def load(path: pathlib.Path) -> Record:
    """Reads a record.

    Raises:
        ConfigError: if the file is no such record.
    """
    try:
        content = json.loads(path.read_text())
        curves = {view: _sweep(values) for view, values in content.pop("curves").items()}
        return Record(**content, curves=curves)
    except (ValueError, TypeError, KeyError) as error:
        raise configs.ConfigError(f"{path} is no record of a run ({error}); delete it to make it again") from error


def load_all(folder: pathlib.Path) -> dict[Experiment, Record]:
    """All records of a folder."""
    records = [load(path) for path in sorted(folder.glob("*.json"))]
    return {Experiment(record.dataset, record.method, record.seed): record for record in records}


def check_same_runs(
    records: Mapping[Experiment, Record], wanted: Iterable[Experiment], changes: Mapping[str, Any]
) -> None:
    """Makes sure that the records of these runs are of this config: runs of 6 and of 100 epochs do not share a row.

    Raises:
        ConfigError: if one has other changes to its method's config.
    """
    for run in wanted:
        if run in records and records[run].changes != changes:
            was, now = (
                ", ".join(f"{key}={value}" for key, value in c.items()) for c in (records[run].changes, changes)
            )
            raise configs.ConfigError(
                f"the record of {run.name} is of a run with {was or 'no --config.… flags'}, this command has {now or 'none'}: "
                "give it an --out and --runs of its own"
            )


def mean_curve(records: Sequence[Record], view: str, quantity: str) -> tuple[np.ndarray, np.ndarray]:
    """One line for several seeds: a quantity of each width (`width`, `macs` or `params`), and the mean top-1 in percent."""
    rows = records[0].curves[view].rows
    top1 = np.mean([[row.top1 for row in record.curves[view].rows] for record in records], 0)
    return np.array([getattr(row, quantity) for row in rows], float), 100 * top1


def measure(run: Experiment, workdir: pathlib.Path, command: str, changes: Mapping[str, Any]) -> Record:
    """Makes the record of a finished run: its curve, and those that only some tables need."""
    config = configs.load(workdir / "config.json")
    swept = json.loads((workdir / "sweep.json").read_text())
    where = json.loads((workdir / "environment.json").read_text())
    mesh = data.data_mesh()
    training_images, test_images = experiment.load_both(config)
    model, _ = experiment.restore(config, workdir, test_images, mesh)
    curves = {"test": _sweep(swept)}

    def sweep(model: AnyWidthClassifier, images: data.ImageSet, **options: Any) -> Sweep:
        return evaluation.sweep(model, images, experiment.preparation(config), mesh, **options)

    if config.widths.minimum <= QUARTERS[0]:
        curves["train"] = sweep(model, training_images, at=QUARTERS)
    for count in CALIBRATED if calibration.norms(model) else ():
        at = experiment.evenly_spaced(count, model, config.widths.minimum)
        # A copy, because the statistics of all other widths are forgotten.
        view = nnx.clone(model)
        experiment.calibrate(config, view, training_images, mesh, at)
        curves[f"test {count}"] = sweep(view, test_images, minimum=config.widths.minimum)
    return Record(
        run.dataset,
        run.method,
        run.seed,
        config.train.epochs,
        swept["step"],
        dict(changes),
        _seconds(workdir, config.train.batch_size),
        where["hardware"],
        where["versions"],
        command,
        curves,
    )


def _sweep(values: Mapping[str, Any]) -> Sweep:
    rows = tuple(evaluation.Row(**row) for row in values["rows"])
    return Sweep(rows, tuple(values["edges"]), values["alpha_min"], values["auc"], values["mean10"])


def _seconds(workdir: pathlib.Path, batch_size: int) -> float:
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    steps, rates = [0, *(line["step"] for line in lines)], [line["images_per_second"] for line in lines]
    # The first line's rate leaves out the first step, and is 0 where it is the only one.
    spent = [(b - a) * batch_size / rate for a, b, rate in zip(steps, steps[1:], rates, strict=False) if rate > 0]
    return round(sum(spent), 1)
