"""Scoring batches at many widths: all in one program, or a few widths at a time where their outputs would not fit.

Dimensions: B batch, N widths.
"""

import abc
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool

from awn_jax import hardware
from awn_jax.data import Preparation, replicate
from awn_jax.data.examples import Example
from awn_jax.evaluation.outputs import NUMBERS, output_size
from awn_jax.evaluation.totals import Program, Totals
from awn_jax.models import AnyWidthNetwork
from awn_jax.tasks import Task

# Passes in one program, where every width has a pass of its own.
PASSES = 8


class Scorer(abc.ABC):
    """Adds batch after batch to the totals of N widths."""

    chunks: str = ""

    @abc.abstractmethod
    def add(self, examples: Example, counted: Bool[Array, " B"]) -> None:
        """Scores a batch, of which some examples count."""

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
    few = max(1, NUMBERS // (batch_size * output_size(model, image_size)))
    nests = model.nests(image_size)
    if nests and len(at) > few and hasattr(model.head, "at_active"):
        return _FromFeatures(model, at, preparation, task, few, mesh)
    return _Direct(model, at, preparation, task, few if nests else min(few, PASSES), mesh)


class _Direct(Scorer):
    """A program for each run of widths, as a rule one for all."""

    def __init__(
        self, model: AnyWidthNetwork, at: Sequence[float], preparation: Preparation, task: Task, few: int, mesh: Mesh
    ):
        parts = [tuple(at[i : i + few]) for i in range(0, len(at), few)]
        self._programs = [make_program(model, part, preparation, task) for part in parts]
        self._totals = [Totals(task, len(part), mesh) for part in parts]
        self._state = replicate(nnx.split(model)[1], mesh)
        self.chunks = f" in {len(parts)} parts" if len(parts) > 1 else ""

    def add(self, examples: Example, counted: Bool[Array, " B"]) -> None:
        for program, totals in zip(self._programs, self._totals, strict=True):
            program.add(totals, examples, counted, self._state, examples["image"])

    def finish(self) -> dict[str, np.ndarray]:
        return joined(self._totals)


class _FromFeatures(Scorer):
    """One program gives the features, another the outputs of a few widths, whichever they are.

    What a head gives depends on how many of the features' channels take part alone, so widths that share that number are
    scored once, unless the task asks something else of them.
    """

    def __init__(
        self, model: AnyWidthNetwork, at: Sequence[float], preparation: Preparation, task: Task, few: int, mesh: Mesh
    ):
        kinds = np.stack([model.head.inputs.active_at(at), np.searchsorted(task.turns, at, side="right")])
        counts, first, self._which = np.unique(kinds, axis=1, return_index=True, return_inverse=True)
        # Filled up with the last one.
        chosen = np.minimum(np.arange(-(-len(first) // few) * few), len(first) - 1).reshape(-1, few)
        alphas = np.asarray(at, np.float32)[first]
        self._parts = [(counts[0, part].astype(np.int32), alphas[part]) for part in chosen]
        self._totals = [Totals(task, few, mesh) for _ in self._parts]
        graphdef, state = nnx.split(model)
        self._state = replicate(state, mesh)
        self.chunks = f" in {len(self._parts)} parts"

        def features(state: Any, images: Array) -> Array:
            return nnx.merge(graphdef, state, copy=True).features(preparation.normalised(images), 1)

        def outputs(state: Any, features: Array, counts: Array, alphas: Array) -> tuple[Task, Array]:
            return task.at(alphas), nnx.merge(graphdef, state, copy=True).head.at_active(features, counts)

        self._features = jax.jit(features, compiler_options=hardware.compiler_options())
        self._program = Program(task, outputs)

    def add(self, examples: Example, counted: Bool[Array, " B"]) -> None:
        features = self._features(self._state, examples["image"])
        for totals, part in zip(self._totals, self._parts, strict=True):
            self._program.add(totals, examples, counted, self._state, features, *part)

    def finish(self) -> dict[str, np.ndarray]:
        return {name: values[self._which] for name, values in joined(self._totals).items()}


def joined(parts: Sequence[Totals]) -> dict[str, np.ndarray]:
    """The metrics of the widths of several totals, one after the other."""
    found = [part.finish() for part in parts]
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def make_program(model: AnyWidthNetwork, at: Sequence[float], preparation: Preparation, task: Task) -> Program:
    """The program that scores a batch at some widths; it takes a state of the model, and images as they are stored.

    Args:
        model: in inference mode.
        at: ascending widths.
        preparation: of the images.
        task: what the outputs mean.
    """
    graphdef = nnx.split(model)[0]

    def outputs(state: Any, images: Array) -> tuple[Task, Array]:
        return task.at(at), nnx.merge(graphdef, state, copy=True).outputs_at(preparation.normalised(images), at)

    return Program(task, outputs)
