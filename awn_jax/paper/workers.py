"""Several training runs, one after the other in this process or several at a time in processes of their own."""

import collections
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import jax
import tqdm

from awn_jax import files, hardware
from awn_jax.paper.targets import Trial
from awn_jax.paper.trials import TrialError
from awn_jax.training.interrupts import Interrupts

Complete = Callable[[Trial], None]


def complete_all(trials: Sequence[Trial], complete: Complete, workdirs: pathlib.Path, *, jobs: int = 1) -> None:
    """Completes training runs; none is begun after one has failed or a signal has come.

    Args:
        trials: what to complete.
        complete: trains and records one; with more than one job, something that other processes can be sent.
        workdirs: folder of the workdirs.
        jobs: how many at a time. With more than one, each has its own share of the processors, and prints into `log.txt` of its
            workdir.

    Raises:
        TrialError: if one fails or is stopped. Those that are under way have come to their ends by then, or, after a signal, to
            a checkpoint.
        UserError: with one job, what `complete` raises.
    """
    titles = {trial: f"── {number} of {len(trials)}: {trial.name}" for number, trial in enumerate(trials, 1)}
    if jobs == 1:
        for trial, title in titles.items():
            print(title, flush=True)
            complete(trial)
            # One run's programs serve no other; those of many large networks are more than Linux lets a process map.
            jax.clear_caches()
        return
    waiting, failed = collections.deque(trials), list[Trial]()
    shares, told = _shares(jobs), False
    running: dict[Any, tuple[BaseProcess, Trial, Sequence[int]]] = {}  # by what is ready once the process has ended
    with Interrupts() as stop:
        try:
            while running or (waiting and not failed and not stop.caught):
                while waiting and shares and not failed and not stop.caught:
                    trial, share = waiting.popleft(), shares.pop(0)
                    log = files.folder(workdirs / trial.name, "--runs") / "log.txt"
                    print(f"{titles[trial]}, see {log}", flush=True)
                    process = _start(complete, trial, log, share)
                    running[process.sentinel] = process, trial, share
                ended = multiprocessing.connection.wait(list(running), timeout=0.5)
                if stop.caught and not told:
                    told = True
                    _stop(process for process, *_ in running.values())
                for sentinel in ended:
                    process, trial, share = running.pop(sentinel)
                    process.join()
                    shares.append(share)
                    if process.exitcode:
                        failed.append(trial)
        finally:
            _stop(process for process, *_ in running.values())
    if stop.caught:
        raise TrialError(f"stopped by {stop.caught}; the same command goes on")
    if failed:
        log = workdirs / failed[0].name / "log.txt"
        raise TrialError(f"{failed[0].name} failed, see {log}: {_last_line(log)}")


def _shares(jobs: int) -> list[Sequence[int]]:
    """The processors of each job; none where they cannot be chosen."""
    cores: Sequence[int] = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [cores[job::jobs] for job in range(jobs)]


def _start(complete: Complete, trial: Trial, log: pathlib.Path, share: Sequence[int]) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(complete, trial, log, share))
    with _interrupts_held_back():
        process.start()
    return process


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes that are started in here never see a Ctrl-C, which the terminal sends to all; it is for us to stop them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(processes: Iterable[BaseProcess]) -> None:
    """Asks processes to save what they have and to end; asked again, they end at once."""
    for process in processes:
        process.terminate()


def _work(complete: Complete, trial: Trial, log: pathlib.Path, share: Sequence[int]) -> None:
    """What a process does: one run, on its share of the processors, which must be known before JAX counts them."""
    if share:
        os.sched_setaffinity(0, share)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(output, stream)
    # In place of one that other processes share, of which a run that fails would leave something behind.
    tqdm.tqdm.set_lock(threading.RLock())
    with hardware.one_line_errors():
        hardware.start()
        complete(trial)


def _last_line(log: pathlib.Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    return lines[-1] if lines else "it printed nothing"
