"""Trains with two and four processes, as one process does; and goes on after one of two was killed with -9."""

import json
import pathlib
from collections.abc import Generator, Iterator

import numpy as np

from tests.faults import core, peers, small

# Up to which sums that are taken in another order may differ after a dozen steps; a wrong sum is far off at the first.
TOLERANCE = 1e-4
PATIENCE = 4 * peers.MINUTE  # four processes on two cores, which may have other work
KILLED_AT = 5  # steps, of 14
# While a checkpoint is written a further step is done, and that checkpoint is lost too.
LOST_STEPS = 2


def trials(ground: core.Ground) -> Generator[core.Trial]:
    for count in (2, 4):
        yield from _together(ground, ground.scratch / f"of_{count}", count)
    yield from _killed(ground, ground.scratch / "killed", ground.scratch / "of_2")


def _together(ground: core.Ground, workdir: pathlib.Path, count: int) -> Iterator[core.Trial]:
    with peers.begun(ground, workdir, [["--config.train.checkpoint_minutes=1"]] * count) as running:
        peers.wait(list(running.values()), PATIENCE)
        right = (workdir / "sweep.json").exists() and _alike(workdir, ground.trained)
        for number, peer in running.items():
            yield peer.trial(f"{count} processes: process {number}", right)


def _killed(ground: core.Ground, workdir: pathlib.Path, whole: pathlib.Path) -> Iterator[core.Trial]:
    with peers.begun(ground, workdir, [[], []]) as running:
        peers.wait_for_steps(workdir, KILLED_AT, list(running.values()))
        running[1].process.kill()
        peers.wait([running[0]], peers.MINUTE)
        yield running[0].trial("process 1 killed with -9, a checkpoint a step: process 0", right=False)
    # What is there now is what they go on from.
    done, kept = _steps(workdir)[-1], max(map(int, _complete(workdir)), default=0)
    with peers.begun(ground, workdir, [[], []]) as running:
        peers.wait(list(running.values()), PATIENCE)
        right = done - kept <= LOST_STEPS and small.result(workdir) == small.result(whole)
        for number, peer in running.items():
            yield peer.trial(f"gone on from step {kept} of {done}: process {number}", right)


def _complete(workdir: pathlib.Path) -> list[str]:
    """The names of complete checkpoints; what was being written has a longer name."""
    return [path.name for path in (workdir / "checkpoints").glob("*") if path.name.isdigit()]


def _lines(workdir: pathlib.Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def _steps(workdir: pathlib.Path) -> list[int]:
    return [int(line["step"]) for line in _lines(workdir)]


def _alike(workdir: pathlib.Path, one: pathlib.Path) -> bool:
    """Whether two runs have done the same steps with the same losses, up to rounding."""
    losses = [
        [[line[name] for name in line if name.startswith("loss")] for line in _lines(run)] for run in (workdir, one)
    ]
    return _steps(workdir) == _steps(one) and bool(np.allclose(*losses, rtol=TOLERANCE, atol=0))
