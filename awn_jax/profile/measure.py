"""Measures widths of a network on the machine that it runs on."""

import functools
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from jaxtyping import Float

from awn_jax.evaluation import Row
from awn_jax.models import AnyWidthNetwork
from awn_jax.profile.compiled import CompiledWidths
from awn_jax.profile.table import Latency, ProfiledWidth

# The most widths that are measured where none are named: each is a program for every batch size.
MOST_WIDTHS = 64


def measure(
    model: AnyWidthNetwork,
    image_size: tuple[int, int, int],
    scored: Sequence[Row],
    batch_sizes: Sequence[int] = (1, 64),
    *,
    seconds: float = 20.0,
    progress: bool = True,
) -> tuple[tuple[ProfiledWidth, ...], dict[int, float]]:
    """Memory and latency of some widths, beside what a sweep has found of them.

    The widths take turns, round after round: a change of the machine's speed meets all alike.

    Args:
        model: any-width network.
        image_size: height, width and planes.
        scored: rows of a sweep, of the widths to measure.
        batch_sizes: numbers of images.
        seconds: to spend on timing; every width is timed at least five times.
        progress: show a bar on a terminal.

    Returns:
        The widths, and for each batch size how many milliseconds longer a call takes after another width's than after its own.

    Raises:
        ValueError: as for `CompiledWidths`.
    """
    at = [row.width for row in scored]
    compiled = CompiledWidths(model, at, image_size, batch_sizes, progress=progress)
    latency: dict[int, list[Latency]] = {}
    switch: dict[int, float] = {}
    for batch in tqdm.tqdm(batch_sizes, desc="profile", leave=False, disable=None if progress else True):
        images = jax.random.normal(jax.random.key(0), (batch, *image_size), jnp.float32)
        calls = [functools.partial(_call, compiled, images, width) for width in at]
        first, again = in_turns(calls, seconds / len(batch_sizes))
        latency[batch] = [_latency(times) for times in again.T]
        # In pairs, so that what else the machine does meets both.
        switch[batch] = 1e3 * float(np.median(first - again))
    rows = []
    for index, row in enumerate(scored):
        memory = {batch: compiled.activation_bytes(row.width, batch) for batch in batch_sizes}
        times = {batch: latency[batch][index] for batch in batch_sizes}
        rows.append(ProfiledWidth(row.width, row.params, row.macs, row.metrics, memory, times))
    return tuple(rows), switch


def in_turns(
    calls: Sequence[Callable[[], object]],
    seconds: float,
    *,
    least: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Float[np.ndarray, "rounds calls"], Float[np.ndarray, "rounds calls"]]:
    """Times each call right after another one, and right after itself.

    Args:
        calls: what to time; each is called once before.
        seconds: no round begins later than this.
        least: rounds, even if they take longer.
        clock: gives seconds.

    Returns:
        Seconds after another call, and seconds after itself.
    """
    for call in calls:
        call()
    rounds: list[list[tuple[float, float]]] = []
    end = clock() + seconds
    while clock() < end or len(rounds) < least:
        rounds.append([(_seconds(call, clock), _seconds(call, clock)) for call in calls])
    first, again = np.moveaxis(np.asarray(rounds), -1, 0)
    return first, again


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    began = clock()
    call()
    return clock() - began


def _call(compiled: CompiledWidths, images: jax.Array, width: float) -> None:
    compiled(images, width).block_until_ready()


def _latency(times: Sequence[float] | np.ndarray) -> Latency:
    median, high = (1e3 * float(np.percentile(times, q)) for q in (50, 95))
    return Latency(median, high, len(times))
