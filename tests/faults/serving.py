"""Answers 2,000 calls with batches of any size: few programs are compiled, and memory does not grow."""

import pathlib
import random
from collections.abc import Generator

import jax
import numpy as np

from awn_jax import open_run
from awn_jax.anytime import LADDER, Predictor
from tests.faults import core

CALLS, LARGEST, PROGRAMS = 2000, 32, 12
# Calls until memory must be flat, and by how much an allocator may still move.
BEGUN, MEBIBYTES = 100, 24


def trials(ground: core.Ground) -> Generator[core.Trial]:
    model, _ = open_run(ground.trained).restore()
    predictor, draw = Predictor(model), random.Random(ground.seed)
    images = np.random.default_rng(ground.seed).normal(size=(LARGEST, 28, 28, 1)).astype(np.float32)
    wanted = predictor.predict(images).outputs
    largest, right, begun = np.abs(wanted).max(), True, 0
    compiled: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: compiled.append(name))
    for call in range(CALLS):
        count, first = draw.randint(1, LARGEST), 0
        first = draw.randint(0, LARGEST - count)
        found = predictor.predict(images[first : first + count], confidence=draw.choice([None, 0.5])).outputs
        right = right and found.shape == wanted[first : first + count].shape and bool(np.isfinite(found).all())
        if call == BEGUN:
            begun = _resident()
    exact = np.abs(predictor.predict(images[:7]).outputs - wanted[:7]).max() <= 1e-5 * largest
    yield _judged(f"{CALLS:,} calls give answers", right and bool(exact), "")
    backend = sum("backend_compile" in name for name in compiled)
    yield _judged(
        f"{CALLS:,} calls compile at most {PROGRAMS} programs", backend <= PROGRAMS, f"{backend}, ladder {LADDER}"
    )
    grown = (_resident() - begun) / 2**20
    yield _judged(f"memory is flat after {BEGUN} calls", grown <= MEBIBYTES, f"{grown:.0f} MiB more")


def _judged(name: str, right: bool, detail: str) -> core.Trial:
    return core.Trial(name, core.Outcome.SURVIVED if right else core.Outcome.SILENT, detail)


def _resident() -> int:
    """Bytes of memory that this process has."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        raise core.NotTried("this system does not say how much memory a process has")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return 1024 * int(line.split()[1])
