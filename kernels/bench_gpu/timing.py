"""Timing on an accelerator, and the two ceilings to hold the times against."""

import statistics
import time
from collections.abc import Callable, Sequence
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


def measure(
    call: Callable[..., Any], argument_sets: Sequence[tuple[Any, ...]], *, samples: int = 7, seconds: float = 0.04
) -> Timing:
    """Times a compiled function.

    Calls are queued one after another on the device, on argument sets in turn, so that neither dispatch nor a warm
    cache is measured. Functions much shorter than dispatch, some 20 microseconds, are.

    Args:
      call: compiled; returns arrays.
      argument_sets: what to call it on.
      samples: how many timings to take.
      seconds: about how long one timing lasts.

    Returns:
      Seconds per call.
    """

    def run(calls: int) -> float:
        start = time.perf_counter()
        out = None
        for i in range(calls):
            out = call(*argument_sets[i % len(argument_sets)])
        jax.block_until_ready(out)
        return (time.perf_counter() - start) / calls

    run(len(argument_sets))
    # Few results may wait at once: each holds device memory until its call is done.
    calls = max(1, min(20, int(seconds / run(3))))
    times = [run(calls) for _ in range(samples)]
    return Timing(statistics.median(times), min(times), max(times))


def peak_flops(size: int) -> float:
    """Returns the operations per second of a large bfloat16 matrix product on random data."""
    a, b = (jax.random.normal(jax.random.key(i), (size, size), jnp.bfloat16) for i in range(2))
    product = jax.jit(lambda a, b: a @ b)
    return 2 * size**3 / measure(product, [(a, b)], seconds=0.2).median


def copy_bandwidth(size: int) -> float:
    """Returns the bytes per second, read and written, of a pass over a large array."""
    a = jax.random.normal(jax.random.key(0), (size,), jnp.float32)
    return 8 * size / measure(jax.jit(lambda a: a + 1), [(a,)], seconds=0.2).median
