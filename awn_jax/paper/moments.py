"""The paper's figure 2: what a batch norm sees at several widths while training, and what it remembers."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from awn_jax import config as configs
from awn_jax import data, experiment, files
from awn_jax.layers import functional
from awn_jax.paper.records import QUARTERS
from awn_jax.rewire import watched
from awn_jax.training import checkpoints, init_state, merge

LAYER, BATCH = "norm2", 128


@dataclasses.dataclass(frozen=True)
class History:
    """Moments at a run's snapshots, each the mean over the channels that all widths have.

    Attributes:
        steps: of the snapshots.
        series: by width, `batch_mean`, `batch_var`, `running_mean` and `running_var`, one value for each step.
    """

    steps: list[int]
    series: dict[float, dict[str, list[float]]]


def history(workdir: pathlib.Path, at: Sequence[float] = QUARTERS) -> History:
    """Reads a run's snapshots, and sends one batch of training images through each, in training mode.

    Raises:
        CheckpointError: if the run has kept no snapshots.
    """
    config = configs.load(workdir / "config.json")
    images = experiment.load_data(config, "train")
    model = experiment.make_model(config, images.images.shape[1:], images.classes)
    optimizer, _ = experiment.make_optimizer(config, 1)
    store = checkpoints.Checkpoints(workdir / "snapshots", keep=None, create=False)
    x = experiment.preparation(config).normalised(jnp.asarray(images.images[:BATCH]))
    like, mesh = init_state(model, optimizer, config.train.seed), data.data_mesh()
    steps = store.steps()
    if not steps:
        raise checkpoints.CheckpointError(f"{store.folder} holds no snapshot")
    series: dict[float, dict[str, list[float]]] = {width: {} for width in at}
    for step in steps:
        trained = merge(model, store.restore(like, mesh, step))
        for width in at:
            for name, value in _moments(trained, x, width, at[0]).items():
                series[width].setdefault(name, []).append(value)
    store.close()
    return History(steps, series)


def _moments(model: Any, x: Any, width: float, narrowest: float) -> dict[str, float]:
    seen: list[Any] = []
    model.train()
    # A copy, because a batch norm in training mode moves its statistics.
    watched(nnx.clone(model), LAYER, seen.append)(x, width)
    layer = getattr(model, LAYER)
    shared = layer.axis.active(narrowest)
    batch, running = functional.batch_moments(seen[0]), layer.at_inference(width)[:2]
    values = dict(zip(("batch_mean", "batch_var", "running_mean", "running_var"), (*batch, *running), strict=True))
    return {name: float(np.asarray(value)[:shared].mean()) for name, value in values.items()}


def save(histories: dict[str, History], path: pathlib.Path) -> None:
    """Writes histories by method as JSON."""
    files.write_json(path, {method: dataclasses.asdict(history) for method, history in histories.items()}, indent=1)


def load(path: pathlib.Path) -> dict[str, History]:
    """Reads what `save` wrote; nothing if there is no such file."""
    content = json.loads(path.read_text()) if path.exists() else {}
    return {
        method: History(h["steps"], {float(width): series for width, series in h["series"].items()})
        for method, h in content.items()
    }
