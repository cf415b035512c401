"""Several processes that train one network together on this machine."""

import contextlib
import pathlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.faults import core, small

MINUTE = 60


class Peer(NamedTuple):
    """One of them.

    Attributes:
        process: as it runs.
        said: file with what it has written on standard error.
    """

    process: subprocess.Popen
    said: pathlib.Path

    def trial(self, name: str, right: bool) -> core.Trial:
        """Judges it once it has ended; `right` tells whether what they left is."""
        return core.of_process(name, self.process.poll(), self.said.read_text(errors="replace"), lambda: right)


@contextlib.contextmanager
def begun(
    ground: core.Ground, workdir: pathlib.Path, more: Sequence[Sequence[str] | None], port: int = 0
) -> Iterator[dict[int, Peer]]:
    """Begins `train.py` once for each of `more`, which none outlives; those that are begun, by number.

    Args:
        ground: what trials work with.
        workdir: of their run.
        more: further flags of each process; None for one that is not started.
        port: that process 0 listens at; 0 for a free one.
    """
    flags = [
        *small.FLAGS,
        f"--workdir={workdir}",
        "--multihost",
        f"--coordinator=localhost:{port or _free_port()}",
        f"--processes={len(more)}",
    ]
    with contextlib.ExitStack() as stack:
        peers = {}
        for number, own in enumerate(more):
            if own is not None:
                errors = stack.enter_context(tempfile.NamedTemporaryFile())
                arguments = ["train.py", *flags, f"--process={number}", *own]
                options = {"stdout": subprocess.DEVNULL, "stderr": errors}
                peers[number] = Peer(
                    stack.enter_context(core.started(ground, *arguments, **options)), pathlib.Path(errors.name)
                )
        yield peers


def wait(peers: Sequence[Peer], seconds: float) -> None:
    """Waits until all have ended, for so long at most."""
    until = time.monotonic() + seconds
    for peer in peers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            peer.process.wait(max(0.1, until - time.monotonic()))


def wait_for_steps(workdir: pathlib.Path, steps: int, peers: Sequence[Peer]) -> None:
    """Waits until so many steps are in the log of a run."""
    log, until = workdir / "metrics.jsonl", time.monotonic() + 2 * MINUTE
    while not log.exists() or log.read_bytes().count(b"\n") < steps:
        if time.monotonic() > until or any(peer.process.poll() is not None for peer in peers):
            raise core.NotTried(f"{len(peers)} processes do not train together here")
        time.sleep(0.005)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])
