"""The one timer: candidates take turns, ratios are taken within rounds."""

import functools
import itertools

import jax.numpy as jnp
from awn_kernels.timing import QUEUE, Call, Deadline, Times, interleaved


def test_ratios_are_taken_within_rounds():
    # A neighbour makes the second round three times as slow for both: the ratio of medians would be 6.
    ours, theirs = Times((1.0, 3.0, 1.0)), Times((2.0, 6.0, 6.0))
    assert ours.speed_against(theirs) == 2
    assert ours.median == 1
    assert ours.spread == 1


def test_candidates_take_turns_on_every_argument_set():
    seen = []

    def call(name, x):
        seen.append((name, int(x[0])))
        return x

    sets = [(jnp.array([0]),), (jnp.array([1]),)]
    ticks = itertools.count()
    # By this clock a call takes one second, and so does a sample of any length.
    times = interleaved(
        {name: Call(functools.partial(call, name), sets) for name in "ab"}, 2, clock=lambda: float(next(ticks))
    )
    assert seen[:6] == [("a", 0), ("a", 1), ("a", 0), ("b", 0), ("b", 1), ("b", 0)]
    assert [name for name, _ in seen[6:]] == ["a", "b", "a", "b"]
    assert times == {name: Times((1.0, 1.0)) for name in "ab"}


def test_short_calls_are_repeated_within_a_sample_but_few_wait_at_once():
    for sample_seconds, repeated in ((2.5, 3), (1000.0, QUEUE)):
        calls = []
        ticks = itertools.count()
        candidate = Call(lambda x, calls=calls: calls.append(1) or x, [(jnp.ones(()),)])
        interleaved({"": candidate}, 1, sample_seconds=sample_seconds, clock=lambda ticks=ticks: float(next(ticks)))
        assert len(calls) == 1 + 1 + repeated  # one to compile, one to see how long it takes


def test_a_deadline_counts_down():
    now = iter((100.0, 103.0, 112.0))
    deadline = Deadline(10.0, clock=lambda: next(now))
    assert deadline.left == 7
    assert deadline.left == -2
