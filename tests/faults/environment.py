"""Trains, evaluates and answers in environments that are not the usual one: the numbers are the same."""

import json
import pathlib
import re
from collections.abc import Generator
from typing import Any

from tests.faults import core, small

SETTINGS = {
    "locale C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "no home folder": {"HOME": "", "XDG_CACHE_HOME": "", "MPLCONFIGDIR": "", "JAX_COMPILATION_CACHE_DIR": ""},
    "64 bits": {"JAX_ENABLE_X64": "1"},
    "rank promotion raises": {"JAX_NUMPY_RANK_PROMOTION": "raise"},
    "dtype promotion is strict": {"JAX_NUMPY_DTYPE_PROMOTION": "strict"},
    "NaNs are looked for": {"JAX_DEBUG_NANS": "1"},
}
# Without programs every step is slow: a few of them must do.
SLOW = {"jit disabled": {"JAX_DISABLE_JIT": "1"}}
PREDICTOR = """
import sys, numpy as np
from concurrent.futures import ThreadPoolExecutor
from awn_jax import open_run
from awn_jax.anytime import Predictor
run = open_run(sys.argv[1])
model, _ = run.restore()
predictor = Predictor(model)
images = np.random.default_rng(0).normal(size=(8, *run.facts.image_size))
wanted = predictor.predict(images.astype(np.float32)).outputs
with ThreadPoolExecutor(4) as threads:
    for dtype in (np.float16, np.float32, np.float64):
        for found in threads.map(lambda _: predictor.predict(images.astype(dtype)).outputs, range(8)):
            difference = np.abs(found - wanted).max() / np.abs(wanted).max()
            assert difference <= (1e-2 if dtype == np.float16 else 1e-5), (dtype, difference)
"""


def trials(ground: core.Ground) -> Generator[core.Trial]:
    usual = json.loads((ground.trained / "sweep.json").read_text())
    for name, variables in SETTINGS.items():
        workdir = ground.scratch / re.sub(r"\W", "_", name)
        code, _, errors = core.command(ground, "train.py", *small.FLAGS, f"--workdir={workdir}", **variables)
        yield core.of_process(f"{name}: train.py", code, errors, lambda w=workdir: _close(_sweep(w), usual, 1e-2))
        out = ground.scratch / f"{workdir.name}_out"
        arguments = ["eval_sweep.py", f"--workdir={ground.trained}", f"--out={out}"]
        code, _, errors = core.command(ground, *arguments, **variables)
        yield core.of_process(f"{name}: eval_sweep.py", code, errors, lambda o=out: _close(_sweep(o), usual, 1e-5))
        code, _, errors = core.command(ground, "-c", PREDICTOR, str(ground.trained), **variables)
        yield core.of_process(f"{name}: a Predictor, four threads, every dtype", code, errors, lambda: True)
    for name, variables in SLOW.items():
        workdir = ground.scratch / re.sub(r"\W", "_", name)
        arguments = ["train.py", *small.FLAGS, "--config.train.epochs=0.05", f"--workdir={workdir}"]
        code, _, errors = core.command(ground, *arguments, timeout=300, **variables)
        yield core.of_process(
            f"{name}: train.py", code, errors, lambda w=workdir: (w / "sweep.json").stat().st_size > 0
        )


def _sweep(folder: pathlib.Path) -> dict[str, Any]:
    return json.loads((folder / "sweep.json").read_text())


def _close(found: dict[str, Any], wanted: dict[str, Any], tolerance: float) -> bool:
    """Whether two sweeps are of the same widths and losses; accuracy jumps where an image lies on an edge."""
    pairs = list(zip(found["rows"], wanted["rows"], strict=True))
    same = all(one["width"] == other["width"] and one["macs"] == other["macs"] for one, other in pairs)
    return same and all(abs(one["loss"] - other["loss"]) <= tolerance * other["loss"] for one, other in pairs)
