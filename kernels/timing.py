"""Fair timing on a machine that is shared: every round runs all candidates once, and ratios are taken within rounds."""

import ctypes
import dataclasses
import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SAMPLE_SECONDS = 4e-3  # a shorter call is repeated within a sample


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
    candidates: Mapping[str, tuple[Callable[..., Any], Sequence[Any]]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Times]:
    """Times compiled functions in turn, A B C A B C …, so that a busy neighbour slows them all alike.

    Args:
      candidates: functions and their arguments, by name.
      rounds: samples of each.
      clock: returns seconds; `time.process_time` counts those of all threads, whatever else the machine does.

    Returns:
      Times by name.
    """
    calls = {name: _calls_per_sample(function, args, clock) for name, (function, args) in candidates.items()}
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, (function, args) in candidates.items():
            seconds[name].append(_seconds(function, args, calls[name], clock))
    return {name: Times(tuple(samples)) for name, samples in seconds.items()}


def matmul_peak(clock: Callable[[], float] = time.perf_counter, rounds: int = 5, size: int = 2048) -> float:
    """Returns the floating-point operations per second of a large float32 matrix product: the attainable peak."""
    a = jnp.asarray(np.random.default_rng(0).standard_normal((size, size)), jnp.float32)
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(a, a))
    return 2 * size**3 / min(_seconds(product, (a, a), 1, clock) for _ in range(rounds))


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


def _calls_per_sample(function: Callable[..., Any], args: Sequence[Any], clock: Callable[[], float]) -> int:
    jax.block_until_ready(function(*args))
    return max(1, math.ceil(SAMPLE_SECONDS / max(1e-6, _seconds(function, args, 1, clock))))


def _seconds(function: Callable[..., Any], args: Sequence[Any], calls: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(calls):
        result = function(*args)
    jax.block_until_ready(result)
    return (clock() - start) / calls
