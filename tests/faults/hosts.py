"""Trains with two processes, one of which is lost, fails or differs: the other ends within a minute, with one line."""

import contextlib
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from tests.faults import core, small

MINUTE = 60


class Case(NamedTuple):
    """Two processes of one run.

    Attributes:
        name: of the trial.
        more: further flags of each process; None for one that is not started.
        lost: number of the one that is sent a signal once training goes on.
        sent: that signal.
        port: that process 0 listens at; 0 for a free one.
    """

    name: str
    more: Sequence[Sequence[str] | None]
    lost: int | None = None
    sent: signal.Signals = signal.SIGKILL
    port: int = 0


def trials(ground: core.Ground) -> Generator[core.Trial]:
    soon = "--join-seconds=5"
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::", 0))
        taken.listen()
        cases = [
            Case("process 1 killed with -9", ([], []), 1),
            Case("process 0 killed with -9", ([], []), 0),
            Case("process 1 hangs", ([], []), 1, signal.SIGSTOP),
            Case("another rate on process 1", ([], ["--config.train.learning_rate=0.5"])),
            Case("other --processes on process 1", ([], ["--processes=3"])),
            Case("no images on process 1", ([], ["--config.data.name=npz:/nowhere.npz"])),
            Case("process 0 never comes", (None, [soon])),
            Case("process 1 never comes", ([soon], None)),
            Case("the coordinator's address is in use", ([soon], None), port=taken.getsockname()[1]),
        ]
        for number, case in enumerate(cases):
            yield from _tried(ground, case, ground.scratch / str(number))


def _tried(ground: core.Ground, case: Case, workdir: pathlib.Path) -> Iterator[core.Trial]:
    flags = [
        *small.FLAGS,
        # It goes on for much longer than anybody waits.
        "--config.train.epochs=500",
        "--config.train.checkpoint_minutes=1",
        f"--workdir={workdir}",
        "--multihost",
        f"--coordinator=localhost:{case.port or _free_port()}",
        "--processes=2",
    ]
    with contextlib.ExitStack() as stack:
        running: dict[int, tuple[subprocess.Popen, tempfile._TemporaryFileWrapper]] = {}
        for number, more in enumerate(case.more):
            if more is not None:
                errors = stack.enter_context(tempfile.NamedTemporaryFile())
                arguments = ["train.py", *flags, f"--process={number}", *more]
                process = stack.enter_context(
                    core.started(ground, *arguments, stdout=subprocess.DEVNULL, stderr=errors)
                )
                running[number] = process, errors
        if case.lost is not None:
            _wait_for_steps(workdir / "metrics.jsonl", [process for process, _ in running.values()])
            running[case.lost][0].send_signal(case.sent)
        until = time.monotonic() + MINUTE
        for number, (process, errors) in running.items():
            if number != case.lost:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.1, until - time.monotonic()))
                said = pathlib.Path(errors.name).read_text(errors="replace")
                yield core.of_process(f"{case.name}: process {number}", process.poll(), said, lambda: False)


def _wait_for_steps(log: pathlib.Path, processes: Sequence[subprocess.Popen]) -> None:
    until = time.monotonic() + 2 * MINUTE
    while not (log.exists() and log.stat().st_size > 1000):
        if time.monotonic() > until or any(process.poll() is not None for process in processes):
            raise core.NotTried("two processes do not train together here")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])
