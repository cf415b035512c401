"""Processes that do not fit together say so; that they find each other is tried where they train."""

import contextlib
import json
import socket

import jax
import numpy as np
import pytest

from awn_jax import hosts


class Service:
    """What the processes of a run have told each other; nobody else comes."""

    def __init__(self, **said):
        self.said = {f"awn_jax/processes/{process.strip('p')}": count for process, count in said.items()}

    def key_value_set(self, key, value):
        self.said[key] = value

    def blocking_key_value_get(self, key, timeout_in_ms):
        if key not in self.said:
            raise RuntimeError(f"DEADLINE_EXCEEDED after {timeout_in_ms} ms\nmore of it")
        return self.said[key]


@pytest.mark.parametrize(
    ("service", "process", "message"),
    [
        (Service(p1="3"), 0, "got 3 in process 1 and 2 here"),
        (Service(p0="3"), 1, "got 3 in process 0 and 2 here"),
        (Service(), 1, r"another process of this run has ended: DEADLINE_EXCEEDED after 5000 ms more of it"),
        (Service(p0="2"), 1, None),
        (Service(p1="2"), 0, None),
    ],
)
def test_processes_that_disagree_on_how_many_they_are_are_refused(service, process, message):
    refused = pytest.raises(hosts.HostsError, match=message) if message else contextlib.nullcontext()
    with refused:
        hosts._check_count(service, 2, process, 5)
    assert service.said[f"awn_jax/processes/{process}"] == "2"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_port_in_use_is_refused_by_process_0(family):
    with socket.socket(family) as taken:
        taken.bind(("", 0))
        taken.listen()
        address = f"localhost:{taken.getsockname()[1]}"
        with pytest.raises(
            hosts.HostsError, match=f"--coordinator must have a port that is free here, got {address}: "
        ):
            hosts.join(address, 2, 0)


@pytest.fixture
def of_two(monkeypatch):
    """`of_two(facts, fails)`: this is process 1 of two; process 0 is about to do `facts`, and has met an error if `fails`."""

    def begin(facts, fails=False):
        monkeypatch.setattr(jax, "process_count", lambda: 2)
        sent = json.dumps(facts, sort_keys=True).encode()
        answers = iter((np.array(len(sent)), np.frombuffer(sent, np.uint8)))
        monkeypatch.setattr(hosts.multihost_utils, "broadcast_one_to_all", lambda _: next(answers))
        monkeypatch.setattr(
            hosts.multihost_utils, "process_allgather", lambda own: np.stack([np.full_like(own, fails), own])
        )

    return begin


@pytest.mark.parametrize(
    ("own", "differs"),
    [
        ({"rate": 0.1, "list": (1, 2)}, ""),
        ({"rate": 0.2, "list": (1, 2)}, r"rate \(0.1 there, 0.2 here\)$"),
        ({"list": (1, 2)}, r"rate \(0.1 there, None here\)$"),
        ({"rate": 0.1, "list": (1, 2), "new": 3}, r"new \(None there, 3 here\)$"),
    ],
)
def test_processes_that_are_about_to_differ_say_in_what(of_two, own, differs):
    of_two({"rate": 0.1, "list": [1, 2]})
    refused = pytest.raises(hosts.HostsError, match=differs) if differs else contextlib.nullcontext()
    with refused:
        hosts.check_same(own)


def test_an_error_ends_all_processes(of_two):
    of_two({})
    with pytest.raises(ZeroDivisionError), hosts.together():
        raise ZeroDivisionError
    of_two({}, fails=True)
    with pytest.raises(hosts.HostsError, match="another process of this run has ended with an error"), hosts.together():
        pass
