"""Trains with two processes, one of which is lost, fails or differs: the other ends within a minute, with one line."""

import pathlib
import signal
import socket
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from tests.faults import core, peers

# It goes on for much longer than anybody waits.
LONG = ["--config.train.epochs=500", "--config.train.checkpoint_minutes=1"]


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
    more = [None if own is None else [*LONG, *own] for own in case.more]
    with peers.begun(ground, workdir, more, case.port) as running:
        if case.lost is not None:
            peers.wait_for_steps(workdir, 5, list(running.values()))
            running[case.lost].process.send_signal(case.sent)
        left = {number: peer for number, peer in running.items() if number != case.lost}
        peers.wait(list(left.values()), peers.MINUTE)
        for number, peer in left.items():
            yield peer.trial(f"{case.name}: process {number}", right=False)
