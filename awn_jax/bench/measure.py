"""One network's steps and sweeps, measured side by side."""

import statistics
from collections.abc import Callable, Mapping

from awn_jax.bench import candidates, turns
from awn_jax.config import Config

FULL, NESTED, SEQUENTIAL = "full width only", "all widths, nested", "four widths, sequential"


def measured(
    config: Config,
    image_size: tuple[int, int, int],
    classes: int,
    *,
    sweep_batch: int,
    rounds: int,
    others: Mapping[str, Callable[[], None]] | None = None,
) -> dict[str, float]:
    """Prints a table of times, and gives their ratios.

    Args:
        config: of the network and the step; its family must nest.
        image_size: height, width and planes.
        classes: number of classes.
        sweep_batch: images that are scored together.
        rounds: how often each is timed.
        others: further steps by name.

    Returns:
        `nested_vs_full`, `nested_vs_sequential`, `sweep_vs_full`, `compile_vs_full`, `memory_vs_full`: time, compile time and
        peak memory relative to the second named; `step_seconds` and `compile_seconds` of the nested step.
    """
    steps = candidates.steps(config, image_size, classes)
    # One compiled step holds its network's weights and images: let go of before the sweeps.
    seconds = turns.interleaved({**steps, **(others or {})}, rounds)
    compiled = {name: (step.compile_seconds, step.scratch_bytes) for name, step in steps.items()}
    del steps
    seconds |= turns.interleaved(candidates.sweeps(config, image_size, classes, sweep_batch), rounds)
    print(f"{'':24}  {'median ms':>9}  {'least ms':>9}  {'most ms':>9}  {'compile s':>9}  {'peak MiB':>9}")
    for name, times in seconds.items():
        line = f"{name:24}  {1e3 * statistics.median(times):9.1f}  {1e3 * min(times):9.1f}  {1e3 * max(times):9.1f}"
        if name in compiled:
            line += f"  {compiled[name][0]:9.1f}  {compiled[name][1] / 2**20:9.1f}"
        print(line, flush=True)
    return {
        "nested_vs_full": turns.ratio(seconds, NESTED, FULL),
        "nested_vs_sequential": turns.ratio(seconds, NESTED, SEQUENTIAL),
        "sweep_vs_full": turns.ratio(seconds, "sweep of all widths", "sweep of full width"),
        "compile_vs_full": compiled[NESTED][0] / compiled[FULL][0],
        "memory_vs_full": compiled[NESTED][1] / compiled[FULL][1],
        "step_seconds": statistics.median(seconds[NESTED]),
        "compile_seconds": compiled[NESTED][0],
        **{f"nested_vs_{name}": turns.ratio(seconds, NESTED, name) for name in others or {}},
    }
