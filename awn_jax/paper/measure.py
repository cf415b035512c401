"""From a trained network to its record: its curve, and those that only some tables need."""

import pathlib
from collections.abc import Mapping
from typing import Any

from flax import nnx

from awn_jax import build, data, evaluation, sealed
from awn_jax.evaluation import Sweep, report
from awn_jax.loop import Outcome
from awn_jax.paper.records import Record, RecordError
from awn_jax.paper.targets import Trial
from awn_jax.training import calibration
from awn_jax.training.progress import read_metrics

QUARTERS = (0.25, 0.5, 0.75, 1.0)
CALIBRATED = (4, 10, 20)


def shown_widths(minimum: float) -> tuple[float, ...]:
    """The widths that tables show of networks whose narrowest is `minimum`: the paper's four, or those that there are."""
    return tuple(dict.fromkeys(max(width, minimum) for width in QUARTERS))


def measure(
    outcome: Outcome, trial: Trial, command: str, changes: Mapping[str, Any], data_dir: str | None = None
) -> Record:
    """Makes the record of a finished run, and writes its sweep into its workdir.

    Args:
        outcome: of training.
        trial: which run it is.
        command: that repeats it.
        changes: text of config fields that are not the config file's own, by dotted name.
        data_dir: where TFDS keeps its sets; None for the config's.

    Raises:
        RecordError: if training has not ended.
    """
    run, model, config = outcome.run, outcome.model, outcome.run.config
    if run.finished != outcome.step:
        raise RecordError(
            f"{run.folder} must be a finished run, and is at step {outcome.step}: train it to its end first"
        )
    mesh, minimum = data.data_mesh(), config.widths.minimum
    training_images = run.images("train", data_dir)

    def sweep(model: Any, images: data.Examples, **options: Any) -> Sweep:
        return evaluation.sweep(model, images, run.preparation, mesh, task=run.task, **options)

    curves = {"test": sweep(model, outcome.test_images, minimum=minimum)}
    report.write(curves["test"], run.folder, {"workdir": run.folder.name, "split": "test", "step": outcome.step})
    for count in CALIBRATED if calibration.norms(model) else ():
        at = build.evenly_spaced(count, model, minimum)
        # A copy, because the statistics of all other widths are forgotten.
        view = nnx.clone(model)
        build.calibrate(config, view, training_images, run.preparation, mesh, at)
        curves[f"test {count}"] = sweep(view, outcome.test_images, minimum=minimum)
    curves["train"] = sweep(model, training_images, at=shown_widths(minimum))
    where = sealed.read(run.folder / "environment.json")
    return Record(
        trial.setting.dataset,
        trial.method,
        trial.seed,
        config.train.epochs,
        outcome.step,
        dict(changes),
        _seconds(run.folder / "metrics.jsonl", config.train.batch_size),
        where["hardware"],
        where["versions"],
        command,
        curves,
        trial.setting.model,
        outcome.step,
        run.facts.fingerprint,
    )


def _seconds(path: pathlib.Path, batch_size: int) -> float:
    lines, lost = read_metrics(path)
    if lost:
        print(f"{lost}: the record's seconds are of the others' rates")
    steps, rates = [0, *(line["step"] for line in lines)], [line["images_per_second"] for line in lines]
    # The first line's rate leaves out the first step, and is 0 where it is the only one.
    spent = [(b - a) * batch_size / rate for a, b, rate in zip(steps, steps[1:], rates, strict=False) if rate > 0]
    return round(sum(spent), 1)
