"""The time of a ladder beside that of one full pass, and of a rival that starts again at every width."""

import statistics
import time
from collections.abc import Sequence

import jax
import tqdm
from flax import nnx

from awn_jax import hardware
from awn_jax.anytime import programs, widening


def compare(
    model: nnx.Module,
    image_size: tuple[int, ...],
    ladder: Sequence[float],
    batch_size: int,
    *,
    rounds: int = 30,
    progress: bool = True,
) -> tuple[dict[str, float], dict[str, float]]:
    """Median times of `full` (one pass at the last width), `ladder` (start, then widen) and `restart` (a pass at each
    width), taken in turns in one process.

    A change of the machine's speed meets all alike. What other programs take from it does not count in the time of the
    processors, which is all that this process' threads were given.

    Args:
        model: any-width network.
        image_size: height, width and planes.
        ladder: ascending widths.
        batch_size: number of images.
        rounds: how often.
        progress: show a bar on a terminal.

    Returns:
        Seconds by the clock, and seconds of all processors.
    """
    images = jax.random.normal(jax.random.key(0), (batch_size, *image_size))
    graphdef, state = nnx.split(model)
    structure, weights = programs.split(model)

    def direct(width: float):
        def run(state, images):
            model = nnx.merge(graphdef, state, copy=True)
            model.eval()
            return model(images, width)

        return jax.jit(run, compiler_options=hardware.compiler_options())

    passes = [direct(width) for width in ladder]

    def climb() -> None:
        outputs, reached = widening.begin(structure, weights, images, ladder[0])
        outputs.block_until_ready()
        for width in ladder[1:]:
            outputs, reached = widening.widen(reached, width)
            outputs.block_until_ready()

    def restart() -> None:
        for run in passes:
            run(state, images).block_until_ready()

    calls = {"full": lambda: passes[-1](state, images).block_until_ready(), "ladder": climb, "restart": restart}
    wall: dict[str, list[float]] = {name: [] for name in calls}
    processors: dict[str, list[float]] = {name: [] for name in calls}
    # The first rounds compile and warm up.
    for number in tqdm.trange(-3, rounds, desc="timing", leave=False, disable=None if progress else True):
        for name, call in calls.items():
            began = time.perf_counter(), time.process_time()
            call()
            if number >= 0:
                wall[name].append(time.perf_counter() - began[0])
                processors[name].append(time.process_time() - began[1])
    medians = [{name: statistics.median(values) for name, values in times.items()} for times in (wall, processors)]
    return medians[0], medians[1]
