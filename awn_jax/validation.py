"""Scores of images that are kept apart from training, while a network trains and at its end."""

from typing import Any

from flax import nnx
from jax.sharding import Mesh

from awn_jax import data, training
from awn_jax.evaluation.scorers import make_program
from awn_jax.evaluation.totals import Program, Totals
from awn_jax.models import AnyWidthNetwork
from awn_jax.run import Run
from awn_jax.training import calibration

ENDS = ("narrowest", "widest")


class Validation:
    """Scores the validation images at the narrowest and the widest width.

    A network whose norms need calibration has no scores before it has been calibrated, when training has ended.

    Args:
        run: the workdir.
        model: the network; its weights are not used.
        mesh: devices.
        images: to score.
        steps: after which it is scored.

    Attributes:
        steps: likewise.
    """

    def __init__(self, run: Run, model: AnyWidthNetwork, mesh: Mesh, images: data.Examples, steps: set[int]):
        self._task, self._preparation, self._images, self._mesh = run.task, run.preparation, images, mesh
        self._model, self.steps = nnx.clone(model), steps
        self._model.eval()
        self._at = sorted({run.config.widths.minimum, 1.0})
        self._program: Program | None = None
        self._last: dict[str, float] = {}

    @classmethod
    def of(cls, run: Run, model: AnyWidthNetwork, mesh: Mesh, steps: int, count: int) -> "Validation | None":
        """That of a run; None where its config keeps no images apart.

        Args:
            run: the workdir.
            model: the network.
            mesh: devices.
            steps: of the whole run.
            count: of the training images.

        Raises:
            RunError, DataError: if the images cannot be had.
        """
        settings = run.config
        if not (settings.data.validation or settings.data.validation_split):
            return None
        every = max(1, round(settings.train.validate_every * count / settings.train.batch_size))
        when = set() if calibration.norms(model) else {*range(every, steps, every), steps}
        return cls(run, model, mesh, run.images("validation"), when)

    def __call__(self, state: training.TrainState) -> dict[str, float]:
        """The metrics of the task at both widths, as `metrics.jsonl` names them: `validation_top1_narrowest` and so on."""
        if self._program is None:
            self._program = make_program(self._model, self._at, self._preparation, self._task)
        model = training.merge(self._model, state)
        self._last = self._scores(self._program, nnx.split(model)[1])
        return self._last

    def told(self, model: AnyWidthNetwork) -> str:
        """One line on a trained network, calibrated if it needs that."""
        scores = self._last
        if not scores:
            model.eval()
            program = make_program(model, self._at, self._preparation, self._task)
            scores = self._scores(program, nnx.split(model)[1])
        metric = self._task.metrics[self._task.metric]
        shown = (f"{metric.show(scores[f'validation_{self._task.metric}_{end}'])} at the {end}" for end in ENDS)
        return f"{metric.title} of {len(self._images):,} validation images: {', '.join(shown)} width"

    def _scores(self, program: Program, state: Any) -> dict[str, float]:
        state = data.replicate(state, self._mesh)
        totals = Totals(self._task, len(self._at), self._mesh)
        for batch, counted in data.once_through(self._images, self._mesh):
            program.add(totals, batch, counted, state, batch["image"])
        found = totals.finish()
        return {
            f"validation_{name}_{end}": float(values[index])
            for name, values in found.items()
            for end, index in zip(ENDS, (0, -1), strict=True)
        }
