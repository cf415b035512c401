"""The training step, compiled once: split state in, split state out, many steps a dispatch."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct
from jax.sharding import Mesh
from jaxtyping import Array

from awn_jax import hardware
from awn_jax.data import Feed, Preparation
from awn_jax.errors import UserError
from awn_jax.tasks import Task
from awn_jax.training import averages, precision, sharding
from awn_jax.training.accumulation import accumulated
from awn_jax.training.objectives import CLASSIFICATION, Objective
from awn_jax.training.plan import WidthPlan
from awn_jax.training.scan import scan

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
        ema: the moving average of `params` and `rest`, a pair; None where none is kept.
    """

    # Any, because jax.tree.map also builds states of shapes, shardings and the like, to restore into.
    step: Any
    params: Any
    rest: Any
    opt_state: Any
    key: Any
    ema: Any = None


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a step computes what it learns, and what it keeps.

    Attributes:
        ema: decay of the moving average of the network, in (0, 1); 0 keeps none.
        accumulate: how many parts a batch is computed in, one after the other, see `accumulation`.
        compute: type to compute in, see `precision`; empty for that of the parameters.
        shared_over: devices that share the optimiser's state out among them, see `sharding`; None leaves it whole.
    """

    ema: float = 0.0
    accumulate: int = 1
    compute: str = ""
    shared_over: Mesh | None = None


def split(model: nnx.Module) -> tuple[nnx.GraphDef, Any, Any]:
    """(graph definition, parameters, all else that it holds) of a model; `nnx.merge` puts them together again."""
    parts: Any = nnx.split(model, nnx.Param, ...)
    return parts


def merge(model: nnx.Module, state: "TrainState", *, ema: bool = False) -> Any:
    """A model like the given one with the parameters and all else of a state; or with their moving averages, `ema`."""
    params, rest = state.ema if ema else (state.params, state.rest)
    return nnx.merge(nnx.graphdef(model), params, rest, copy=True)


def init_state(
    model: nnx.Module, optimizer: optax.GradientTransformation, seed: int, recipe: Recipe = Recipe()
) -> TrainState:
    """The state before the first step."""
    _, params, rest = split(model)
    # A copy: the step gives up what it was given, each array once.
    ema = jax.tree.map(jnp.copy, (params, rest)) if recipe.ema else None
    return TrainState(jnp.zeros((), jnp.int32), params, rest, optimizer.init(params), jax.random.key(seed), ema)


def make_train_steps(
    model: nnx.Module,
    optimizer: optax.GradientTransformation,
    objective: Objective,
    plan: WidthPlan,
    preparation: Preparation,
    feed: Feed,
    task: Task = CLASSIFICATION,
    recipe: Recipe = Recipe(),
) -> Callable[[TrainState, Any, Any], tuple[TrainState, Metrics]]:
    """Compiles the function that does a run of steps in one dispatch.

    The batch axis is sharded over the mesh of `feed`, the state is replicated, but for an optimiser's that is shared out; the
    compiler adds up gradients and batch-norm statistics over all devices, so that the global batch alone matters, not how many
    devices hold it.

    Args:
        model: the network; its weights are not used.
        optimizer: of optax.
        objective: one of `OBJECTIVES`.
        plan: the widths that a step learns from.
        preparation: normalisation and augmentation.
        feed: the batches.
        task: whose losses they are.
        recipe: how they are computed.

    Returns:
        `(state, feed.constants, feed.steps(…)) -> (state, metrics)`; each metric has one value for each step. The state
        that is passed in is given up. `finite` tells whether loss and parameters are; `losses` are those of the plan's widths.
    """

    graphdef, cast = split(model)[0], precision.cast(model, recipe.compute)
    learn = accumulated(objective, recipe.accumulate)
    where: Any = None
    if recipe.shared_over:
        state = nnx.eval_shape(lambda net: init_state(net, optimizer, 0, recipe), model)
        where = sharding.of(state, recipe.shared_over, shared=True)

    def one_step(constants: Any, state: TrainState, row: Any) -> tuple[TrainState, Metrics]:
        state = _placed(state, where)
        width_key, image_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        examples = preparation.for_training(image_key, feed.batch(constants, row))
        images, targets = examples["image"].astype(recipe.compute or jnp.float32), task.targets(examples)
        learnt = learn(graphdef, state.params, state.rest, images, targets, plan, width_key, task, cast=cast)
        # Added up as it is: the network's own arrays are not to be cut as the optimiser's are.
        gradient = _placed(learnt.gradient, where and where.params)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = {
            "loss": learnt.loss,
            "loss_narrowest": learnt.losses[0],
            "loss_widest": learnt.losses[-1],
            "losses": learnt.losses,
            "finite": jnp.isfinite(learnt.loss) & jnp.isfinite(optax.tree.norm(params)),
        }
        ema = state.ema
        if recipe.ema:
            ema = averages.follow(ema, (params, learnt.rest), state.step + 1, recipe.ema)
        following = TrainState(state.step + 1, params, learnt.rest, opt_state, state.key, ema)
        return _placed(following, where), metrics

    def many_steps(state: TrainState, constants: Any, rows: Any) -> tuple[TrainState, Metrics]:
        return scan(functools.partial(one_step, constants), state, rows)

    options = hardware.compiler_options()
    return jax.jit(many_steps, donate_argnums=0, out_shardings=(where, None), compiler_options=options)


def _placed(tree: Any, where: Any) -> Any:
    """A tree whose arrays lie where they are to; anywhere if None."""
    return tree if where is None else jax.lax.with_sharding_constraint(tree, where)
