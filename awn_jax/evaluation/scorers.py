"""Scoring batches at many widths: all in one program, or a few widths at a time where their outputs would not fit.

Dimensions: B batch, N widths.
"""

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Num

from awn_jax import hardware
from awn_jax.data import Preparation, replicate
from awn_jax.models import AnyWidthNetwork
from awn_jax.tasks import Task

# The most numbers that the outputs of one program hold: 128 MiB in float32.
NUMBERS = 1 << 25
# Passes in one program, where every width has a pass of its own.
PASSES = 8


class Scorer(abc.ABC):
    """Adds batch after batch to the totals of N widths."""

    chunks: str = ""

    @abc.abstractmethod
    def add(self, images: Num[Array, "B H W P"], targets: Any, counted: Bool[Array, " B"]) -> None:
        """Scores a batch, of which some images count."""

    @abc.abstractmethod
    def finish(self) -> dict[str, np.ndarray]:
        """The metrics of the N widths, by name."""


def scorer(
    model: AnyWidthNetwork,
    at: Sequence[float],
    preparation: Preparation,
    task: Task,
    image_size: tuple[int, int, int],
    batch_size: int,
    mesh: Mesh,
) -> Scorer:
    """The scorer that fits a network.

    Args:
        model: in inference mode.
        at: N ascending widths.
        preparation: of the images.
        task: what the outputs mean.
        image_size: height, width and planes.
        batch_size: number of images at a time.
        mesh: devices.
    """
    like = jax.ShapeDtypeStruct((batch_size, *image_size), jnp.float32)
    outputs = nnx.eval_shape(lambda model, x: model(x, 1), model, like)
    few = max(1, NUMBERS // max(1, math.prod(outputs.shape)))
    nests = model.nests(image_size)
    if nests and len(at) > few and hasattr(model.head, "at_active"):
        return _FromFeatures(model, at, preparation, task, few, mesh)
    return _Direct(model, at, preparation, task, few if nests else min(few, PASSES), mesh)


class _Direct(Scorer):
    """A program for each run of widths, as a rule one for all."""

    def __init__(
        self, model: AnyWidthNetwork, at: Sequence[float], preparation: Preparation, task: Task, few: int, mesh: Mesh
    ):
        self._task = task
        parts = [tuple(at[i : i + few]) for i in range(0, len(at), few)]
        self._programs = [make_program(model, part, preparation, task) for part in parts]
        self._totals = [replicate(task.start(len(part)), mesh) for part in parts]
        self._state = replicate(nnx.split(model)[1], mesh)
        self.chunks = f" in {len(parts)} parts" if len(parts) > 1 else ""

    def add(self, images: Num[Array, "B H W P"], targets: Any, counted: Bool[Array, " B"]) -> None:
        batch = (images, targets, counted)
        self._totals = [
            run(self._state, totals, *batch) for run, totals in zip(self._programs, self._totals, strict=True)
        ]

    def finish(self) -> dict[str, np.ndarray]:
        found = [self._task.finish(jax.device_get(totals)) for totals in self._totals]
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


class _FromFeatures(Scorer):
    """One program gives the features, another the outputs of a few widths, whichever they are.

    What a head gives depends on how many of the features' channels take part alone, so widths that share that number are
    scored once, unless the task asks something else of them.
    """

    def __init__(
        self, model: AnyWidthNetwork, at: Sequence[float], preparation: Preparation, task: Task, few: int, mesh: Mesh
    ):
        self._task = task
        kinds = np.stack([model.head.inputs.active_at(at), np.searchsorted(task.turns, at, side="right")])
        counts, first, self._which = np.unique(kinds, axis=1, return_index=True, return_inverse=True)
        # Filled up with the last one.
        chosen = np.minimum(np.arange(-(-len(first) // few) * few), len(first) - 1).reshape(-1, few)
        alphas = np.asarray(at, np.float32)[first]
        self._parts = [(counts[0, part].astype(np.int32), alphas[part]) for part in chosen]
        self._totals = [replicate(task.start(few), mesh) for _ in self._parts]
        graphdef, state = nnx.split(model)
        self._state = replicate(state, mesh)
        self.chunks = f" in {len(self._parts)} parts"

        def features(state: Any, images: Array) -> Array:
            return nnx.merge(graphdef, state, copy=True).features(preparation.normalised(images), 1)

        def score(state: Any, totals: Any, features: Array, part: Any, targets: Any, counted: Array) -> Any:
            counts, alphas = part
            outputs = nnx.merge(graphdef, state, copy=True).head.at_active(features, counts)
            return task.at(alphas).update(totals, outputs, targets, counted)

        self._features = _jit(features)
        self._score = _jit(score)

    def add(self, images: Num[Array, "B H W P"], targets: Any, counted: Bool[Array, " B"]) -> None:
        features = self._features(self._state, images)
        self._totals = [
            self._score(self._state, totals, features, part, targets, counted)
            for totals, part in zip(self._totals, self._parts, strict=True)
        ]

    def finish(self) -> dict[str, np.ndarray]:
        found = [self._task.finish(jax.device_get(totals)) for totals in self._totals]
        joined = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        return {name: values[self._which] for name, values in joined.items()}


def make_program(
    model: AnyWidthNetwork, at: Sequence[float], preparation: Preparation, task: Task
) -> Callable[..., Any]:
    """Compiles `(state, totals, images, targets, counted) -> totals`, which scores a batch at some widths.

    Args:
        model: in inference mode.
        at: ascending widths.
        preparation: of the images.
        task: what the outputs mean.
    """
    graphdef = nnx.split(model)[0]

    def score(state: Any, totals: Any, images: Array, targets: Any, counted: Array) -> Any:
        outputs = nnx.merge(graphdef, state, copy=True).outputs_at(preparation.normalised(images), at)
        return task.at(at).update(totals, outputs, targets, counted)

    return _jit(score)


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(function, compiler_options=hardware.compiler_options())
