"""The training step, compiled once: split state in, split state out, many steps a dispatch."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct
from jax import lax
from jaxtyping import Array

from awn_jax import hardware
from awn_jax.data import Feed, Preparation
from awn_jax.errors import UserError
from awn_jax.tasks import Task
from awn_jax.training.objectives import CLASSIFICATION, Objective
from awn_jax.training.plan import WidthPlan

Metrics = dict[str, Array]


class NonFiniteError(UserError, RuntimeError):
    """Training has left the finite numbers; the message says where."""


@struct.dataclass
class TrainState:
    """All that changes while training; a checkpoint holds this and nothing else.

    Attributes:
        step: steps done, which is also the position in the data.
        params: the model's parameters.
        rest: all else that it holds: batch-norm statistics, counters of random keys.
        opt_state: the optimiser's.
        key: random key of the run; every step folds its number into it.
    """

    # Any, because jax.tree.map also builds states of shapes, shardings and the like, to restore into.
    step: Any
    params: Any
    rest: Any
    opt_state: Any
    key: Any


def split(model: nnx.Module) -> tuple[nnx.GraphDef, Any, Any]:
    """(graph definition, parameters, all else that it holds) of a model; `nnx.merge` puts them together again."""
    parts: Any = nnx.split(model, nnx.Param, ...)
    return parts


def merge(model: nnx.Module, state: "TrainState") -> Any:
    """A model like the given one with the parameters and all else of a state."""
    return nnx.merge(nnx.graphdef(model), state.params, state.rest, copy=True)


def init_state(model: nnx.Module, optimizer: optax.GradientTransformation, seed: int) -> TrainState:
    """The state before the first step."""
    _, params, rest = split(model)
    return TrainState(jnp.zeros((), jnp.int32), params, rest, optimizer.init(params), jax.random.key(seed))


def make_train_steps(
    model: nnx.Module,
    optimizer: optax.GradientTransformation,
    objective: Objective,
    plan: WidthPlan,
    preparation: Preparation,
    feed: Feed,
    task: Task = CLASSIFICATION,
) -> Callable[[TrainState, Any, Any], tuple[TrainState, Metrics]]:
    """Compiles the function that does a run of steps in one dispatch.

    The batch axis is sharded over the mesh of `feed`, the state is replicated; the compiler adds up gradients and batch-norm
    statistics over all devices, so that the global batch alone matters, not how many devices hold it.

    Args:
        model: the network; its weights are not used.
        optimizer: of optax.
        objective: one of `OBJECTIVES`.
        plan: the widths that a step learns from.
        preparation: normalisation and augmentation.
        feed: the batches.
        task: whose losses they are.

    Returns:
        `(state, feed.constants, feed.steps(…)) -> (state, metrics)`; each metric has one value for each step. The state
        that is passed in is given up. `finite` tells whether loss and parameters are.
    """

    graphdef = split(model)[0]

    def one_step(constants: Any, state: TrainState, row: Any) -> tuple[TrainState, Metrics]:
        width_key, image_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        images, targets = feed.batch(constants, row)
        images = preparation.for_training(image_key, images)
        learnt = objective(graphdef, state.params, state.rest, images, targets, plan, width_key, task)
        updates, opt_state = optimizer.update(learnt.gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = {
            "loss": learnt.loss,
            "loss_narrowest": learnt.narrowest,
            "loss_widest": learnt.widest,
            "finite": jnp.isfinite(learnt.loss) & jnp.isfinite(optax.tree.norm(params)),
        }
        return TrainState(state.step + 1, params, learnt.rest, opt_state, state.key), metrics

    def many_steps(state: TrainState, constants: Any, rows: Any) -> tuple[TrainState, Metrics]:
        step = functools.partial(one_step, constants)
        if hardware.runs_loops_well():
            return lax.scan(step, state, rows)
        metrics = []
        for index in range(len(jax.tree.leaves(rows)[0])):
            state, values = step(state, jax.tree.map(lambda row, index=index: row[index], rows))
            metrics.append(values)
        return state, jax.tree.map(lambda *values: jnp.stack(values), *metrics)

    return jax.jit(many_steps, donate_argnums=0, compiler_options=hardware.compiler_options())
