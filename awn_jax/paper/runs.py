"""Runs what is missing: one process of `train.py` for each experiment, resumable."""

import concurrent.futures
import contextlib
import os
import pathlib
import queue
import shlex
import subprocess
import sys
import threading
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
    titles = {run: f"── {number} of {len(runs)}: {run.name}" for number, run in enumerate(runs, 1)}
    if jobs == 1:
        for run, title in titles.items():
            _one(run, folder / run.name, changes(run), title)
            finish(run)
        return
    shares, failed = _shares(jobs), threading.Event()

    def one(run: Experiment) -> bool:
        if failed.is_set():
            return False
        share = shares.get()
        try:
            _one(run, folder / run.name, changes(run), titles[run], share)
        except BaseException:
            failed.set()
            raise
        finally:
            shares.put(share)
        return True

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(one, run): run for run in runs}
        try:
            for done in concurrent.futures.as_completed(waiting):
                if done.result():
                    finish(waiting[done])
        except BaseException:
            failed.set()
            raise


def _shares(jobs: int) -> queue.SimpleQueue[Sequence[int]]:
    """The processors of each job; none where they cannot be chosen."""
    cores: Sequence[int] = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    shares: queue.SimpleQueue[Sequence[int]] = queue.SimpleQueue()
    for job in range(jobs):
        shares.put(cores[job::jobs])
    return shares


def _one(
    run: Experiment, workdir: pathlib.Path, changes: Sequence[str], title: str, share: Sequence[int] | None = None
) -> None:
    """Trains one to its end; with a share of the processors, on these, and with its output in a file."""
    workdir.mkdir(parents=True, exist_ok=True)
    log = workdir / "log.txt"
    where = "" if share is None else f", see {log}"
    print(title + where, flush=True)
    full = [sys.executable, "train.py", *arguments(run, changes), f"--workdir={workdir.absolute()}"]
    with contextlib.ExitStack() as stack:
        output = None if share is None else stack.enter_context(log.open("a"))
        process = subprocess.Popen(full, cwd=ROOT, stdout=output, stderr=None if output is None else subprocess.STDOUT)
        if share:
            # Before it counts its processors, which it does when JAX starts.
            os.sched_setaffinity(process.pid, share)
        code = process.wait()
    if code or not (workdir / "sweep.json").exists():
        raise RunError(
            f"{run.name} {f'failed with code {code}' if code else 'was stopped'}{where}; the same command goes on"
        )
