"""The paper's figure 2: what a batch norm sees at several widths while training, and what it remembers.

Dimensions: B batch, H height, W width in pixels, P planes, C channels.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import data, files, hardware, sealed, training, widths
from awn_jax.layers import Norm, Op, functional
from awn_jax.layers.op import observing
from awn_jax.models import AnyWidthNetwork
from awn_jax.network import read
from awn_jax.paper.measure import QUARTERS
from awn_jax.run import open_run
from awn_jax.training import checkpoints

BATCH = 128
Moments = dict[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class History:
    """Moments at a run's snapshots, each the mean over the channels that all widths have.

    Attributes:
        steps: of the snapshots.
        series: by width, `batch_mean`, `batch_var`, `running_mean` and `running_var`, one value for each step.
    """

    steps: list[int]
    series: dict[float, dict[str, list[float]]]


def history(workdir: pathlib.Path, at: Sequence[float] = QUARTERS, data_dir: str | None = None) -> History:
    """Reads a run's snapshots, and sends one batch of training images through each, in training mode.

    Args:
        workdir: of a run that kept snapshots.
        at: ascending widths.
        data_dir: where TFDS keeps its sets; None for the config's.

    Raises:
        RunError: if there is no such run.
        CheckpointError: if it has kept no snapshots.
        DataError: if the images cannot be had.
    """
    run = open_run(workdir)
    store = checkpoints.Checkpoints(run.folder / "snapshots", keep=None, create=False)
    try:
        steps = store.steps()
        if not steps:
            raise checkpoints.CheckpointError(f"{store.folder} holds no snapshot")
        images = data.in_memory(run.images("train", data_dir).take(BATCH))
        x = run.preparation.normalised(jnp.asarray(images.images))
        model, mesh = run.network(), data.data_mesh()
        look = make_moments(model, at)
        _, params, rest = training.split(model)
        like = training.TrainState(jnp.zeros((), jnp.int32), params, rest, None, None)
        series: dict[float, dict[str, list[float]]] = {width: {} for width in at}
        for step in steps:
            found = look(nnx.state(training.merge(model, store.restore(like, mesh, step))), x)
            for width, moments in zip(at, found, strict=True):
                for name, value in moments.items():
                    series[width].setdefault(name, []).append(float(value))
    finally:
        store.close()
    return History(steps, series)


def make_moments(
    model: AnyWidthNetwork, at: Sequence[float]
) -> Callable[[Any, Float[Array, "B H W P"]], list[Moments]]:
    """Compiles `(state, images) -> moments`: what the second batch norm reads at each width in training mode, and remembers.

    Args:
        model: its weights are not used.
        at: ascending widths.

    Returns:
        A function of the model's state (`nnx.state`) and a batch of images, which gives the moments of each width.
    """
    graphdef = nnx.graphdef(model)

    def moments(state: Any, x: Float[Array, "B H W P"]) -> list[Moments]:
        return [_moments(nnx.merge(graphdef, state, copy=True), x, width, at[0]) for width in at]

    return jax.jit(moments, compiler_options=hardware.compiler_options())


def _moments(model: AnyWidthNetwork, x: Float[Array, "B H W P"], width: float, narrowest: float) -> Moments:
    """Gives up the model: a batch norm in training mode moves its statistics."""
    norm = [node.op for node in read(model, x.shape[1:]).nodes if isinstance(node.op, Norm)][1]
    running = norm.at_inference(width)[:2]
    seen: list[Array] = []

    def observer(op: Op, inputs: tuple[Array, ...], at: widths.AnyWidth, compute: Callable[[], Array]) -> Array:
        if op is norm:
            seen.append(inputs[0])
        return compute()

    model.train()
    with observing(observer):
        model(x, width)
    values = (*functional.batch_moments(seen[0]), *running)
    names = ("batch_mean", "batch_var", "running_mean", "running_var")
    shared = norm.axis.active(narrowest)
    return {name: value[:shared].mean() for name, value in zip(names, values, strict=True)}


def save(histories: dict[str, History], path: pathlib.Path) -> None:
    """Writes histories by method as JSON."""
    sealed.write(path, {method: dataclasses.asdict(history) for method, history in histories.items()}, indent=1)


def load(path: pathlib.Path) -> dict[str, History]:
    """Reads what `save` wrote; nothing if there is no such file.

    Raises:
        UnreadableError: if the file is damaged.
    """
    content = sealed.read(path) if path.exists() else {}
    try:
        return {
            method: History(h["steps"], {float(width): series for width, series in h["series"].items()})
            for method, h in content.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise files.UnreadableError(f"{path} is no history of moments ({error}); delete it to make it again") from error
