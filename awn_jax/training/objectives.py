"""The loss of a step over many widths, with its gradient: in one pass, or in one pass for each width.

Both give the same loss and the same gradient for a network that keeps the prefix property; `nested` costs about one
full-width pass. Other networks have `sequential` only.

Dimensions: B batch, N widths.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int, Num, PRNGKeyArray

from awn_jax import widths
from awn_jax.tasks import Classification, Task
from awn_jax.training.plan import WidthPlan

Tree = Any
Cast = Callable[[Tree], Tree]
CLASSIFICATION = Classification()


def as_they_are(params: Tree) -> Tree:
    """The parameters themselves: a step computes in their type."""
    return params


class StepGradient(NamedTuple):
    """What one batch teaches.

    Attributes:
        loss: weighted sum of the losses of the step's widths.
        losses: the mean loss with the targets at each of the plan's widths that are not drawn, ascending; of the last exit.
        gradient: of `loss`, like the parameters.
        rest: all that is no parameter after the step: batch-norm statistics, counters of random keys.
    """

    loss: Float[Array, ""]
    losses: Float[Array, " N"]
    gradient: Tree
    rest: Tree


Objective = Callable[..., StepGradient]


def nested(
    graphdef: nnx.GraphDef,
    params: Tree,
    rest: Tree,
    images: Num[Array, "B H W P"],
    targets: Tree,
    plan: WidthPlan,
    key: PRNGKeyArray,
    task: Task = CLASSIFICATION,
    *,
    cast: Cast = as_they_are,
    part: int | Int[Array, ""] = 0,
) -> StepGradient:
    """All widths in one forward and one backward pass at full width.

    A narrow network is a prefix of the wide one, so the head's partial sums are the outputs of all widths, and the gradient
    of a weighted sum of their losses is one backward pass. Drawn widths are data, not program. The loss of a width is the mean
    over all exits of the network.

    Args:
        graphdef: of the model, see `training.split`.
        params: its parameters.
        rest: all else that it holds.
        images: as the network expects them.
        targets: what `task.targets` gives; for a classifier, labels [B], or shares of the classes [B, K].
        plan: the widths.
        key: of the draws and the dropout.
        task: whose losses they are; `Classification(loss)` takes a loss of one's own.
        cast: what is made of the parameters before they are used, see `precision.cast`; the gradient is of those given.
        part: which part of its step's batch this is: all parts learn from the same widths, each with a dropout of its own.

    Raises:
        ValueError: if the network does not keep the prefix property, or is not known to: see `AnyWidthNetwork.trust`.
    """
    obstacle = nnx.merge(graphdef, params, rest, copy=True).obstacle(images.shape[1:])
    if obstacle:
        raise ValueError(
            f"nested training needs narrow networks that are prefixes of the wide one: {obstacle}. Use sequential training, "
            "or, for code that is no op, model.trust(images) first"
        )

    def loss(params: Tree) -> tuple[Array, tuple[Array, Tree]]:
        model = nnx.merge(graphdef, cast(params), rest, copy=True)
        drawn = [widths.Drawn(alpha) for alpha in plan.drawn(key)] if plan.draws else []
        asked, teacher = task.at((*plan.widths, *(width.alpha for width in drawn))), len(plan.widths) - 1

        def learnt(outputs: Array) -> tuple[Array, Array]:
            truth = asked.losses(outputs, targets).mean(-1)
            if not plan.distillation:
                return truth, truth
            # The widest learns from the targets alone.
            share = jnp.full(len(truth), plan.distillation).at[teacher].set(0)
            return truth, (1 - share) * truth + share * asked.taught(outputs, outputs[teacher]).mean(-1)

        truths, by_exit = zip(
            *map(learnt, model.ends_at(images, plan.widths, dropout_key(key, part), drawn)), strict=True
        )
        truth, losses = truths[-1], _mean(by_exit)
        weights = jnp.asarray(plan.all_weights(), losses.dtype)
        return weights @ losses, (truth[: len(plan.widths)], not_parameters(model))

    (total, (losses, rest)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return StepGradient(total, losses, gradient, rest)


def _mean(values: Sequence[Array]) -> Array:
    """The mean over the exits of a network; of one alone, its value."""
    return values[0] if len(values) == 1 else functools.reduce(jnp.add, values) / len(values)


def dropout_key(key: PRNGKeyArray, part: int | Int[Array, ""]) -> PRNGKeyArray:
    """The key of the dropout of a part of a step's batch; the plan draws widths with the step's own."""
    return jax.random.fold_in(key, 1 + part)


def not_parameters(model: nnx.Module) -> Tree:
    """All state of a model but its parameters."""
    parts: Any = nnx.split(model, nnx.Param, ...)
    return parts[2]


class _Pass(NamedTuple):
    """What one width adds to a step; `truth` is the mean loss with the targets, `outputs` are those of every exit."""

    loss: Array
    truth: Array
    outputs: list[Array]
    rest: Tree
    gradient: Tree


def sequential(
    graphdef: nnx.GraphDef,
    params: Tree,
    rest: Tree,
    images: Num[Array, "B H W P"],
    targets: Tree,
    plan: WidthPlan,
    key: PRNGKeyArray,
    task: Task = CLASSIFICATION,
    *,
    cast: Cast = as_they_are,
    part: int | Int[Array, ""] = 0,
) -> StepGradient:
    """One forward and backward pass for each width, the widest first, gradients added up.

    A width that is drawn at random is data to one of a few programs, each for widths up to some size. The statistics of a
    network that keeps the prefix property follow the widest pass, which holds those of all the others; those of another network
    are moved by one pass after the other. Arguments are those of `nested`.

    Source: Any-Width Networks (Vu et al., 2020), Algorithm 1; Slimmable Neural Networks (Yu et al., 2019).
    """

    def one_pass(width: widths.AnyWidth, weight: float, rest: Tree, teacher: list[Array] | None) -> _Pass:
        def loss(params: Tree) -> tuple[Array, tuple[Array, list[Array], Tree]]:
            model = nnx.merge(graphdef, cast(params), rest, copy=True)
            outputs = model.ends(images, width, dropout_key(key, part))
            asked = task.at((width.alpha if isinstance(width, widths.Drawn) else width,))
            truths = [asked.losses(one[None], targets).mean() for one in outputs]
            truth, value = truths[-1], _mean(truths)
            # The widest learns from the targets alone, also where it is drawn.
            if teacher is not None and plan.distillation:
                pairs = zip(outputs, teacher, strict=True)
                taught = _mean([asked.taught(one[None], widest).mean() for one, widest in pairs])
                value = (1 - plan.distillation) * value + plan.distillation * taught
            return jnp.asarray(weight, value.dtype) * value, (truth, outputs, not_parameters(model))

        (value, (truth, outputs, moved)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return _Pass(value, truth, outputs, moved, gradient)

    nests = nnx.merge(graphdef, params, rest, copy=True).nests(images.shape[1:])
    passes = [one_pass(plan.widths[-1], plan.weights[-1], rest, None)]
    first = passes[0]

    def before() -> Tree:
        # Of networks that nest, every pass begins with what the first one began with, random keys included.
        return rest if nests else passes[-1].rest

    for width, weight in reversed(list(zip(plan.widths[:-1], plan.weights[:-1], strict=True))):
        passes.append(one_pass(width, weight, before(), first.outputs))
    losses = jnp.stack([one.truth for one in reversed(passes)])
    if plan.draws:
        programs = [
            functools.partial(_drawn_pass, one_pass, size, plan.draw_weight, first.outputs) for size in plan.sizes
        ]
        for alpha in plan.drawn(key):
            passes.append(lax.switch(plan.size(alpha), programs, alpha, before()))
    total = functools.reduce(jnp.add, [one.loss for one in passes])
    gradient = functools.reduce(functools.partial(jax.tree.map, jnp.add), [one.gradient for one in passes])
    return StepGradient(total, losses, gradient, first.rest if nests else passes[-1].rest)


def _drawn_pass(
    one_pass: Callable[..., _Pass], size: float, weight: float, teacher: list[Array], alpha: Array, rest: Tree
) -> _Pass:
    return one_pass(widths.Drawn(alpha, size), weight, rest, teacher)


OBJECTIVES: dict[str, Objective] = {"nested": nested, "sequential": sequential}
