"""Flips single bits of a checkpoint: each is an error, or without effect on the state that is restored."""

import pathlib
import random
import shutil
from collections.abc import Generator

import jax
import numpy as np

from awn_jax import build, data, open_run, training
from awn_jax.training import TrainState
from tests.faults import core, damage

FLIPS = 350


def trials(ground: core.Ground) -> Generator[core.Trial]:
    workdir = pathlib.Path(shutil.copytree(ground.trained, ground.scratch / "run"))
    run, mesh = open_run(workdir), data.data_mesh()
    model = run.network()
    optimizer, _ = build.optimizer(run.config, build.steps(run.config, run.facts.count), model)
    # As training reads it to go on, and as all else does.
    whole = training.init_state(model, optimizer, run.config.train.seed)
    kinds = {"training": whole, "network": TrainState(whole.step, whole.params, whole.rest, None, None)}

    def restored(kind: str) -> list[np.ndarray]:
        store = run.store()
        try:
            state = store.restore(kinds[kind], mesh)
        finally:
            store.close()
        keys = [] if state.key is None else [jax.random.key_data(state.key)]
        leaves = jax.tree.leaves((state.step, state.params, state.rest, state.opt_state, keys))
        return [np.asarray(leaf) for leaf in leaves]

    undamaged = {kind: restored(kind) for kind in kinds}

    def right(kind: str, found: list[np.ndarray]) -> bool:
        pairs = zip(found, undamaged[kind], strict=True)
        return all(one.dtype == other.dtype and one.tobytes() == other.tobytes() for one, other in pairs)

    newest = max((workdir / "checkpoints").iterdir(), key=lambda path: int(path.name))
    files = sorted(path for path in newest.rglob("*") if path.is_file() and path.stat().st_size)
    for number, (path, bit) in enumerate(damage.bits(files, FLIPS, random.Random(ground.seed))):
        kind = sorted(kinds)[number % 2]
        with damage.flipped(path, bit):
            name = f"bit {bit} of {path.relative_to(workdir)}, read for the {kind}"
            yield core.of_call(name, lambda kind=kind: restored(kind), lambda found, kind=kind: right(kind, found))
