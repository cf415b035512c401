"""Timing on an accelerator, and the two ceilings to hold the times against."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Timing(NamedTuple):
    """Seconds per call: the median over samples, and the fastest and slowest of them."""

    median: float
    fastest: float
    slowest: float


class Deadline:
    """A budget of seconds."""

    def __init__(self, seconds: float) -> None:
        """Starts the clock."""
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left; negative when late."""
        return self._end - time.monotonic()


class Call(NamedTuple):
    """A compiled function that returns arrays, and what to call it on in turn."""

    function: Callable[..., Any]
    argument_sets: Sequence[tuple[Any, ...]]

    def run(self, calls: int) -> float:
        """Returns seconds per call of several, queued one after another on the device."""
        out = None
        start = time.perf_counter()
        for i in range(calls):
            out = self.function(*self.argument_sets[i % len(self.argument_sets)])
        jax.block_until_ready(out)
        return (time.perf_counter() - start) / calls


def measure(calls: Mapping[str, Call], *, samples: int = 7, seconds: float = 0.04) -> dict[str, Timing]:
    """Times compiled functions in turn, so that a clock that falls falls for all of them.

    Calls are queued, on several argument sets, so that neither dispatch nor a warm cache is measured. A function much
    shorter than dispatch, some 20 microseconds, measures dispatch all the same.

    Args:
      calls: what to time, by name.
      samples: how many rounds.
      seconds: about how long one sample lasts.

    Returns:
      Seconds per call, by name.
    """
    counts = {}
    for name, call in calls.items():
        call.run(len(call.argument_sets))
        # Few results may wait at once: each holds device memory until its call is done.
        counts[name] = max(1, min(20, int(seconds / call.run(3))))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(samples):
        for name, call in calls.items():
            times[name].append(call.run(counts[name]))
    return {name: Timing(statistics.median(found), min(found), max(found)) for name, found in times.items()}


def peak_flops(size: int) -> float:
    """Returns the operations per second of a large bfloat16 matrix product on random data."""
    a, b = (jax.random.normal(jax.random.key(i), (size, size), jnp.bfloat16) for i in range(2))
    product = jax.jit(lambda a, b: a @ b)
    return 2 * size**3 / measure({"": Call(product, [(a, b)])}, seconds=0.2)[""].median


def copy_bandwidth(size: int) -> float:
    """Returns the bytes per second, read and written, of a pass over a large array."""
    a = jax.random.normal(jax.random.key(0), (size,), jnp.float32)
    return 8 * size / measure({"": Call(jax.jit(lambda a: a + 1), [(a,)])}, seconds=0.2)[""].median
