"""Times taken in turns, so that a change of the machine's speed meets all candidates alike."""

import statistics
import time
from collections.abc import Callable, Mapping

import tqdm


def interleaved(candidates: Mapping[str, Callable[[], None]], rounds: int, warmup: int = 2) -> dict[str, list[float]]:
    """Seconds of each candidate in each round; every round runs all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for index in tqdm.trange(rounds + warmup, desc="rounds", leave=False, disable=None):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if index >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: Mapping[str, list[float]], one: str, other: str) -> float:
    """Median over rounds of the time of one candidate relative to another's."""
    return statistics.median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))
