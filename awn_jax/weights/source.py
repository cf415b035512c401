"""Finds a trained network by whatever names it: a name of the package's, a workdir, or a file."""

import os
import pathlib

from awn_jax import run as runs
from awn_jax.weights import shipped
from awn_jax.weights.file import Saved, WeightsError, load


def find(source: str | os.PathLike[str]) -> Saved:
    """The network that a source names, with the config and the facts that go with it.

    Args:
        source: a name of `pretrained()`, which comes first; the workdir of a run; or a file that `save` wrote.

    Raises:
        WeightsError: if it is none of these, or a file that cannot be used.
        RunError, CheckpointError: if it is a folder without a run, or without a checkpoint.
    """
    path = place(source)
    if not path.is_dir():
        return load(path)
    run = runs.open_run(path)
    network, step = run.restore()
    return Saved(network, run.config, run.facts, step)


def place(source: str | os.PathLike[str]) -> pathlib.Path:
    """The file or the workdir that a source names.

    Raises:
        WeightsError: if there is none.
    """
    names = shipped.pretrained()
    if source in names:
        return shipped.path_of(str(source))
    path = pathlib.Path(source).expanduser()
    if not path.exists():
        raise WeightsError(
            f"weights must be one of {', '.join(names)}, the workdir of a run, or a file of weights, got {os.fspath(source)!r}"
        )
    return path
