"""Where a run's metrics go: a file of JSON lines, TensorBoard, and a function of the user's."""

import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from awn_jax.board import Board, at_widths
from awn_jax.errors import UserError
from awn_jax.training.progress import MetricsLog

Hook = Callable[[int, Mapping[str, float | int]], object]


class HookError(UserError, RuntimeError):
    """A user's function failed; the message names it."""


class Logs:
    """The logs of a run, in its folder.

    Args:
        folder: of the run.
        resume_at: what was written of later steps is dropped: a run that was cut off writes it again.
        at: N widths whose losses a line comes with.
        tensorboard: write event files too.
        on_log: called with the step and the metrics of every line.
    """

    def __init__(
        self, folder: pathlib.Path, resume_at: int, at: Sequence[float], *, tensorboard: bool, on_log: Hook | None
    ):
        self._at, self._hook = at, on_log
        self._lines = MetricsLog(folder / "metrics.jsonl", resume_at)
        self._board = Board(folder / "tensorboard" / "train", resume_at) if tensorboard else None

    def write(self, line: Mapping[str, float | int], losses: np.ndarray) -> None:
        """Writes a line of metrics, one of which is the `step`; losses [N] go to TensorBoard alone.

        Raises:
            HookError: if the user's function fails.
        """
        step = int(line["step"])
        self._lines.write(line)
        if self._board:
            named = {name: value for name, value in line.items() if name != "step"}
            self._board.numbers(step, {**named, **at_widths("loss", self._at, losses)})
        if self._hook:
            try:
                self._hook(step, line)
            except Exception as error:
                name = getattr(self._hook, "__qualname__", repr(self._hook))
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise HookError(f"on_log={name} failed at step {step}: {reason}") from error

    def close(self) -> None:
        """Ends the files."""
        self._lines.close()
        if self._board:
            self._board.close()
