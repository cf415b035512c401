"""Fair timing on a machine that is shared: every round runs all candidates once, and ratios are taken within rounds."""

import ctypes
import dataclasses
import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

Clock = Callable[[], float]
# Calls of one sample that may wait on a device at once: each holds memory for its results until it is done.
QUEUE = 20


class Call(NamedTuple):
    """A compiled function that returns arrays, and what to call it on in turn.

    Several argument sets keep the caches of an accelerator from holding what a real program would have to fetch.
    """

    function: Callable[..., Any]
    argument_sets: Sequence[Sequence[Any]]

    def seconds(self, calls: int, clock: Clock = time.perf_counter) -> float:
        """Returns the seconds per call of several, queued one after another on the device."""
        start = clock()
        for i in range(calls):
            result = self.function(*self.argument_sets[i % len(self.argument_sets)])
        jax.block_until_ready(result)
        return (clock() - start) / calls


@dataclasses.dataclass(frozen=True)
class Times:
    """How long one candidate took.

    Attributes:
      seconds: per call, one entry per round.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median seconds per call."""
        return float(np.median(self.seconds))

    @property
    def spread(self) -> float:
        """Distance between the quartiles, as a fraction of the median."""
        low, high = np.percentile(self.seconds, (25, 75))
        return float((high - low) / self.median)

    def speed_against(self, other: "Times") -> float:
        """Returns how many times as fast as `other` this is: the median of the ratios within rounds."""
        return float(np.median(np.asarray(other.seconds) / np.asarray(self.seconds)))


def interleaved(
    candidates: Mapping[str, Call],
    rounds: int,
    *,
    sample_seconds: float = 4e-3,
    clock: Clock = time.perf_counter,
) -> dict[str, Times]:
    """Times compiled functions in turn, A B C A B C …, so that a busy neighbour slows them all alike.

    A function much shorter than its dispatch, some 20 microseconds on an accelerator, measures dispatch all the same.

    Args:
      candidates: what to time, by name.
      rounds: samples of each.
      sample_seconds: how long a sample should last; shorter calls are repeated within one, up to `QUEUE` times.
      clock: returns seconds; `time.process_time` counts those of all threads, whatever else the machine does.

    Returns:
      Times by name.
    """
    calls = {}
    for name, candidate in candidates.items():
        candidate.seconds(len(candidate.argument_sets))  # compiles, and warms up
        calls[name] = min(QUEUE, max(1, math.ceil(sample_seconds / max(1e-6, candidate.seconds(1, clock)))))
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            seconds[name].append(candidate.seconds(calls[name], clock))
    return {name: Times(tuple(samples)) for name, samples in seconds.items()}


def matmul_peak(size: int, dtype: DTypeLike, clock: Clock = time.perf_counter) -> float:
    """Returns the operations per second of a large matrix product on random data: the attainable peak.

    Args:
      size: rows and columns of both matrices.
      dtype: of both matrices.
      clock: returns seconds.
    """
    a, b = (jax.random.normal(jax.random.key(i), (size, size), dtype) for i in range(2))
    return 2 * size**3 / _fastest(Call(jax.jit(jnp.matmul), [(a, b)]), clock)


def copy_bandwidth(size: int, clock: Clock = time.perf_counter) -> float:
    """Returns the bytes per second, read and written, of a pass over `size` float32 numbers."""
    a = jax.random.normal(jax.random.key(0), (size,), jnp.float32)
    return 8 * size / _fastest(Call(jax.jit(lambda a: a + 1), [(a,)]), clock)


class Deadline:
    """A budget of seconds."""

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        """Starts the clock."""
        self._clock = clock
        self._end = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds left; negative when late."""
        return self._end - self._clock()


def keep_freed_memory() -> bool:
    """Has glibc keep what XLA frees, as a long-running program would: fresh pages can cost more than a convolution.

    Returns:
      Whether this platform's allocator could be told.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    arenas, mmap_threshold, trim_threshold, top_pad = -8, -3, -1, -2
    options = ((arenas, 1), (mmap_threshold, 2**30), (trim_threshold, 2**31 - 1), (top_pad, 2**28))
    return all(libc.mallopt(option, value) for option, value in options)


def _fastest(call: Call, clock: Clock) -> float:
    # Samples long enough to keep an accelerator's clock where steady work has it.
    return min(interleaved({"": call}, 5, sample_seconds=0.2, clock=clock)[""].seconds)
