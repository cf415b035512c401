"""Kills training with -9 at random moments and lets it go on: it ends bit for bit where an uninterrupted run ends."""

import pathlib
import random
import subprocess
import time
from collections.abc import Generator

from tests.faults import core, small

CHAINS, KILLS = 3, 4


def trials(ground: core.Ground) -> Generator[core.Trial]:
    draw, wanted = random.Random(ground.seed), small.result(ground.trained)
    for chain in range(CHAINS):
        workdir = ground.scratch / str(chain)
        arguments = ["train.py", *small.FLAGS, f"--workdir={workdir}"]
        moments = [_killed(ground, arguments, workdir, draw) for _ in range(KILLS)]
        code, _, errors = core.command(ground, *arguments)
        name = f"killed {', '.join(moments)}, then gone on with"
        yield core.of_process(name, code, errors, lambda w=workdir: small.result(w) == wanted)


def _killed(ground: core.Ground, arguments: list[str], workdir: pathlib.Path, draw: random.Random) -> str:
    """Begins training, or goes on with it, and kills it; says when that was."""
    lines, after = draw.randint(0, 5), draw.uniform(0, 0.3)
    log = workdir / "metrics.jsonl"
    before = _lines(log)
    unheard = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with core.started(ground, *arguments, **unheard) as process:
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until and _lines(log) < before + lines:
            time.sleep(0.005)
        time.sleep(after)
    return f"{1e3 * after:.0f} ms after {lines} lines"


def _lines(log: pathlib.Path) -> int:
    return log.read_bytes().count(b"\n") if log.exists() else 0
