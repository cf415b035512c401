"""A whole experiment: training, then the sweep of every width. `train.py` and `awn_jax.train` are this."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections

from awn_jax import config as configs
from awn_jax import data, evaluation, hardware, loop
from awn_jax.board import Board
from awn_jax.config import Config
from awn_jax.evaluation import Sweep, report
from awn_jax.logs import Hook
from awn_jax.models import AnyWidthNetwork
from awn_jax.run import Run


@dataclasses.dataclass(frozen=True)
class Trained:
    """What an experiment has come to.

    Attributes:
        run: the workdir, as `open_run` gives it.
        model: the network, in inference mode.
        ema: the moving average of the network; None where `train.ema` keeps none.
        step: steps done.
        stopped: by what, if before the last step; nothing otherwise.
        sweeps: on the test images, by weights: `raw`, and `ema` where it is kept; none if it was stopped.
    """

    run: Run
    model: AnyWidthNetwork
    ema: AnyWidthNetwork | None
    step: int
    stopped: str
    sweeps: Mapping[str, Sweep]

    @property
    def sweep(self) -> Sweep:
        """Of the network itself.

        Raises:
            KeyError: if training was stopped.
        """
        return self.sweeps["raw"]


def train(
    config: Config | ml_collections.ConfigDict | Mapping[str, Any] | str | pathlib.Path,
    workdir: pathlib.Path | str,
    *,
    progress: bool = True,
    on_device: bool | None = None,
    on_log: Hook | None = None,
) -> Trained:
    """Trains one network and sweeps all its widths, or goes on where this was cut off, and ends bit for bit where an
    uninterrupted run ends.

    The workdir holds `config.json` and `run.json`, `metrics.jsonl`, checkpoints, `finished.json` once training has ended, and
    the sweep as `sweep.json`, `.csv` and `.png`; that of the moving average, if there is one, as `sweep_ema`.

    It may be called from any thread; called from the main one, it takes SIGINT
    (which a notebook sends to interrupt a cell) and SIGTERM as a wish to save and return.

    Args:
        config: of the run: what `config.default` or `config.read` gives, or `FILE` or `FILE:METHOD` as `train.py` takes it.
        workdir: local folder, made if it is not there; one process at a time writes to it.
        progress: say what is done, with bars on a terminal and in a notebook.
        on_device: keep the images on every device, see `data.make_feed`.
        on_log: called with the step and its metrics at every line of `metrics.jsonl`; for Weights & Biases and the like.

    Raises:
        ConfigError: if the config makes no sense, the workdir holds a run with another one, or one pass for all widths is asked
            for and the network does not keep the prefix property.
        NotWritableError, InUseError: if the workdir cannot be written to.
        DataError: if the images cannot be had.
        RunError: if the workdir holds a run of other images.
        CheckpointError: if a checkpoint cannot be read or written.
        NonFiniteError: if loss or weights leave the finite numbers.
        BoardError: if the config asks for TensorBoard's files, and what writes them is not installed.
        HookError: if `on_log` fails.
        SweepError: if a score is not finite.
    """
    # ── train
    settings, first = configs.settle(config), jax.process_index() == 0
    hardware.keep_freed_memory()
    outcome = loop.train(settings, workdir, quiet=not progress, on_device=on_device, on_log=on_log)
    run, shown = outcome.run, progress and first
    if outcome.stopped:
        _say(
            shown,
            f"── {outcome.stopped}: saved step {outcome.step} in {run.folder}; the same command goes on from there",
        )
        return Trained(run, outcome.model, outcome.ema, outcome.step, outcome.stopped, {})

    # ── every width
    _say(shown, "── sweeping the test images")
    networks = {"raw": outcome.model} | ({} if outcome.ema is None else {"ema": outcome.ema})
    sweeps = {weights: _swept(network, outcome, shown) for weights, network in networks.items()}
    _say(shown, report.tables(sweeps))
    if first:
        facts = {"workdir": run.folder.name, "split": "test", "step": outcome.step}
        written = report.record(sweeps, run.folder, run.folder.name, facts)
        if settings.log.tensorboard:
            _show(sweeps, run.folder / "tensorboard", outcome.step)
        _say(shown, f"wrote {run.folder}/{', '.join(written)}")
    _say(shown, report.summaries(sweeps))
    return Trained(run, outcome.model, outcome.ema, outcome.step, "", sweeps)


def _say(shown: bool, text: str) -> None:
    if shown:
        print(text, flush=True)


def _swept(model: AnyWidthNetwork, outcome: loop.Outcome, progress: bool) -> Sweep:
    run = outcome.run
    return evaluation.sweep(
        model,
        outcome.test_images,
        run.preparation,
        data.data_mesh(),
        minimum=run.config.widths.minimum,
        task=run.task,
        progress=progress,
    )


def _show(sweeps: Mapping[str, Sweep], folder: pathlib.Path, step: int) -> None:
    """Writes sweeps for TensorBoard, which shows each as a run of its own; those of an earlier end are dropped."""
    for weights, sweep in sweeps.items():
        board = Board(folder / ("test" if weights == "raw" else f"test_{weights}"), -1)
        board.curve(step, sweep)
        board.close()
