"""Several processes that train one network: how they join, agree, and end together.

A process that fails tells the others before work begins (`together`); afterwards they notice, at once where a sum over all of
them fails, else once it has given no sign of life for `SILENT_SECONDS`.
"""

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax._src import distributed
from jax.experimental import multihost_utils

from awn_jax import aborts
from awn_jax.errors import UserError

JOIN_SECONDS = 45
SILENT_SECONDS = 30
LOST = "another process of this run has ended or cannot be reached: start the same command on all hosts again, which goes on"


class HostsError(UserError):
    """The processes of a run do not find each other, or do not fit together; the message says why."""


def join(coordinator: str | None, processes: int | None, process: int | None, seconds: int = JOIN_SECONDS) -> None:
    """Joins the other processes of a run; from now on, to lose one of them ends this one with one line.

    Args:
        coordinator: host:port of process 0; None where the environment tells.
        processes: how many there are.
        process: number of this one.
        seconds: how long to wait for the others.

    Raises:
        HostsError: if they cannot be found.
    """
    if coordinator and process:
        _wait_for(coordinator, seconds)
    elif coordinator:
        _check_free(coordinator)
    aborts.explain(
        f"the processes of this run have not joined: is each started once, within {seconds} s, with the same --processes?"
    )
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            # What is told is not guessed as well: Slurm's number of a process on its node would choose one GPU for it.
            cluster_detection_method="deactivate" if coordinator else None,
            initialization_timeout=seconds,
            heartbeat_timeout_seconds=SILENT_SECONDS,
            shutdown_timeout_seconds=SILENT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise HostsError(
            f"--multihost cannot join the other processes: {reason}. Give --coordinator=HOST:PORT, --processes and --process "
            "where the environment does not tell them"
        ) from error
    aborts.explain("another process of this run has other --processes than this one, or has ended")
    if processes is not None and process is not None:
        # JAX's own client, which Orbax relies on as well. Devices cannot tell: those who disagree wait for each other's.
        _check_count(distributed.global_state.client, processes, process, seconds)
    aborts.explain(LOST)


def _check_count(client: Any, processes: int, process: int, seconds: int) -> None:
    """Makes sure that process 0 and the others have been told the same number of processes."""
    place = "awn_jax/processes"
    try:
        client.key_value_set(f"{place}/{process}", str(processes))
        others = [0] if process else range(1, processes)
        said = {other: client.blocking_key_value_get(f"{place}/{other}", 1000 * seconds) for other in others}
    except RuntimeError as error:
        raise HostsError(f"another process of this run has ended: {' '.join(str(error).split())[:300]}") from error
    for other, count in said.items():
        if count != str(processes):
            raise HostsError(
                f"--processes must be the same in all, got {count} in process {other} and {processes} here"
            )


def _check_free(coordinator: str) -> None:
    """Makes sure that process 0 can listen at its port: where it cannot, JAX's service may crash."""
    with socket.socket(socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET) as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind(("", int(coordinator.rpartition(":")[2])))
        except OSError as error:
            raise HostsError(
                f"--coordinator must have a port that is free here, got {coordinator}: {error.strerror}"
            ) from None


def _wait_for(coordinator: str, seconds: int) -> None:
    """Waits until something answers at an address."""
    host, _, port = coordinator.rpartition(":")
    until, reason = time.monotonic() + seconds, ""
    while time.monotonic() < until:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:
            reason = error.strerror or str(error)
            time.sleep(0.5)
    raise HostsError(f"process 0 does not answer at --coordinator={coordinator} within {seconds} s: {reason}")


def agreed(*wishes: bool) -> tuple[bool, ...]:
    """Which of some wishes at least one process has; every process of a run must ask at the same time."""
    if jax.process_count() == 1:
        return wishes
    return tuple(multihost_utils.process_allgather(np.array(wishes)).any(0).tolist())


@contextlib.contextmanager
def together() -> Iterator[None]:
    """What is done in here ends in all processes, or in none.

    Raises:
        HostsError: if it has ended with an error in another process alone.
    """
    try:
        yield
    except Exception:
        agreed(True)
        raise
    if agreed(False)[0]:
        raise HostsError("another process of this run has ended with an error, which it has printed")


def check_same(facts: Mapping[str, Any]) -> None:
    """Makes sure that all processes are about to do the same.

    Args:
        facts: what must be equal, by name; plain values.

    Raises:
        HostsError: in all of them, if they are not; it names what differs where that is known.
    """
    if jax.process_count() == 1:
        return
    own = json.dumps(facts, sort_keys=True).encode()
    first = multihost_utils.broadcast_one_to_all(np.array(len(own)))
    room = np.zeros(int(first), np.uint8)
    room[: len(own)] = np.frombuffer(own[: len(room)], np.uint8)
    wanted = json.loads(multihost_utils.broadcast_one_to_all(room).tobytes())
    # As it arrives: with lists for tuples.
    plain = json.loads(own)
    other = [
        f"{name} ({wanted.get(name)!r} there, {plain.get(name)!r} here)"
        for name in sorted(wanted | plain)
        if wanted.get(name) != plain.get(name)
    ]
    if agreed(bool(other))[0]:
        what = f"process 0 has other {', '.join(other)}" if other else "another one differs, and says in what"
        raise HostsError(f"all processes of a run must do the same: {what}")
