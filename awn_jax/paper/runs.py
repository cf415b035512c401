"""Runs what is missing: one process of `train.py` for each experiment, resumable."""

import concurrent.futures
import os
import pathlib
import queue
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence

from awn_jax.config import ConfigError
from awn_jax.paper.experiments import Experiment

ROOT = pathlib.Path(__file__).parent.parent.parent


class RunError(RuntimeError):
    """A run failed or was stopped; the message says which, and where its output is."""


def arguments(run: Experiment, changes: Sequence[str]) -> list[str]:
    """The arguments of `train.py`, but for the workdir."""
    return [f"--config=configs/lenet_{run.dataset}.py:{run.method}", f"--config.train.seed={run.seed}", *changes]


def command(run: Experiment, changes: Sequence[str]) -> str:
    """The command that repeats a run."""
    return shlex.join(["python", "train.py", *arguments(run, changes)])


def train(
    runs: Sequence[Experiment],
    folder: pathlib.Path,
    changes: Callable[[Experiment], Sequence[str]],
    *,
    jobs: int = 1,
    finish: Callable[[Experiment], None],
) -> None:
    """Runs experiments to their end, or goes on with them; the workdir of each is `folder / name`.

    Args:
        runs: one after the other, or `jobs` at a time.
        folder: of the workdirs.
        changes: gives the flags for `train.py` that change the config of one.
        jobs: runs at a time, each on its own share of the processors; with more than one, output goes to `log.txt` of each.
        finish: called for each that has ended, one at a time.

    Raises:
        ConfigError: if `train.py` is not there.
        RunError: if one fails or is stopped; no other is begun.
    """
    if not (ROOT / "train.py").is_file():
        raise ConfigError(f"{ROOT} must hold train.py: run this from a clone of the repository")
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        shares = _shares(jobs)
        waiting = {}
        for number, run in enumerate(runs, 1):
            title = f"── {number} of {len(runs)}: {run.name}"
            waiting[pool.submit(_one, run, folder / run.name, changes(run), shares, title, jobs > 1)] = run
        try:
            for done in concurrent.futures.as_completed(waiting):
                done.result()
                finish(waiting[done])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _shares(jobs: int) -> queue.SimpleQueue[Sequence[int]]:
    """The processors of each job; none where they cannot be chosen."""
    cores: Sequence[int] = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    shares: queue.SimpleQueue[Sequence[int]] = queue.SimpleQueue()
    for job in range(jobs):
        shares.put(cores[job::jobs])
    return shares


def _one(
    run: Experiment,
    workdir: pathlib.Path,
    changes: Sequence[str],
    shares: queue.SimpleQueue[Sequence[int]],
    title: str,
    to_log: bool,
) -> None:
    workdir.mkdir(parents=True, exist_ok=True)
    log = workdir / "log.txt"
    where = f", see {log}" if to_log else ""
    print(title + where, flush=True)
    share = shares.get()
    full = [sys.executable, "train.py", *arguments(run, changes), f"--workdir={workdir.absolute()}"]
    with log.open("a") as output:
        process = subprocess.Popen(
            full, cwd=ROOT, stdout=output if to_log else None, stderr=subprocess.STDOUT if to_log else None
        )
        if to_log and share:
            # Before it counts its processors, which it does when JAX starts.
            os.sched_setaffinity(process.pid, share)
        code = process.wait()
    shares.put(share)
    if code or not (workdir / "sweep.json").exists():
        raise RunError(
            f"{run.name} {f'failed with code {code}' if code else 'was stopped'}{where}; the same command goes on"
        )
