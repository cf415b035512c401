"""Measures every width of a network on the machine that it runs on."""

import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from awn_jax import widths
from awn_jax.models import AnyWidthNetwork
from awn_jax.network import costs
from awn_jax.profile.compiled import CompiledWidths
from awn_jax.profile.table import Latency, ProfiledWidth


def measure(
    model: AnyWidthNetwork,
    image_size: tuple[int, int, int],
    values: Mapping[float, float],
    batch_sizes: Sequence[int] = (1, 64),
    *,
    seconds: float = 20.0,
    progress: bool = True,
) -> tuple[tuple[ProfiledWidth, ...], dict[int, float]]:
    """Parameters, operations, memory and latency of each width.

    The widths take turns, one call each, round after round: a change of the machine's speed meets all alike.

    Args:
        model: any-width network.
        image_size: height, width and planes.
        values: the task's metric of the widths to measure.
        batch_sizes: numbers of images.
        seconds: to spend on timing.
        progress: show a bar on a terminal.

    Returns:
        The rows, and for each batch size how much longer a call takes after another width's than after its own.

    Raises:
        ValueError: as for `CompiledWidths`.
    """
    at = sorted(values, key=widths.exact_width)
    programs = CompiledWidths(model, at, image_size, batch_sizes, progress=progress)
    times: dict[int, dict[float, list[float]]] = {}
    switch: dict[int, float] = {}
    bar = tqdm.tqdm(batch_sizes, desc="profile", leave=False, disable=None if progress else True)
    for batch in bar:
        images = jax.random.normal(jax.random.key(0), (batch, *image_size), jnp.float32)
        calls = {width: _call(programs, images, width) for width in at}
        first, again = _rounds(calls, seconds / len(batch_sizes))
        times[batch] = again
        # In pairs, so that what else the machine does meets both.
        pairs = [np.subtract(first[width], again[width]) for width in at]
        switch[batch] = 1e3 * float(np.median(np.concatenate(pairs)))
    rows = []
    params, macs = costs(model, image_size, at)
    for width, weights, work in zip(at, params, macs, strict=True):
        memory = {batch: programs.activation_bytes(width, batch) for batch in batch_sizes}
        latency = {batch: _latency(times[batch][width]) for batch in batch_sizes}
        rows.append(ProfiledWidth(float(width), int(weights), int(work), values[width], memory, latency))
    return tuple(rows), switch


def _call(programs: CompiledWidths, images: jax.Array, width: float) -> Callable[[], object]:
    return lambda: programs(images, width).block_until_ready()


def _rounds(
    calls: Mapping[float, Callable[[], object]], seconds: float, least: int = 5
) -> tuple[dict[float, list[float]], dict[float, list[float]]]:
    """Times of each call right after another width's, and right after its own."""
    first: dict[float, list[float]] = {width: [] for width in calls}
    again: dict[float, list[float]] = {width: [] for width in calls}
    for call in calls.values():
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(first[next(iter(calls))]) < least:
        for width, call in calls.items():
            for kept in (first, again):
                began = time.perf_counter()
                call()
                kept[width].append(time.perf_counter() - began)
    return first, again


def _latency(times: Sequence[float]) -> Latency:
    median, high = (1e3 * float(np.percentile(times, q)) for q in (50, 95))
    return Latency(median, high, len(times))
