"""The loss of a step over many widths, with its gradient: in one pass, or in one pass for each width.

Both give the same loss and the same gradient for a network that keeps the prefix property; `nested` costs about one
full-width pass. Other networks have `sequential` only.

Dimensions: B batch, N widths.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from awn_jax.training.plan import WidthPlan

Tree = Any


class StepGradient(NamedTuple):
    """What one batch teaches.

    Attributes:
        loss: weighted sum of the losses of the step's widths.
        narrowest, widest: the mean cross-entropy with the labels at the ends of the plan.
        gradient: of `loss`, like the parameters.
        stats: the batch-norm statistics after the step.
    """

    loss: Float[Array, ""]
    narrowest: Float[Array, ""]
    widest: Float[Array, ""]
    gradient: Tree
    stats: Tree


Objective = Callable[
    [nnx.GraphDef, Tree, Tree, Float[Array, "B H W P"], Int[Array, " B"], WidthPlan, PRNGKeyArray], StepGradient
]


def cross_entropy(logits: Float[Array, "... B classes"], labels: Int[Array, " B"]) -> Float[Array, "..."]:
    """The mean cross-entropy of a batch, for each leading index."""
    labels = jnp.broadcast_to(labels, logits.shape[:-1])
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(-1)


def distilled(
    logits: Float[Array, "... B classes"], teacher: Float[Array, "B classes"], truth: Float[Array, "..."], share: float
) -> Float[Array, "..."]:
    """The cross-entropy with the labels, `truth`, of which a share gives way to that with a teacher's soft predictions.

    The teacher learns nothing from it.

    Source: Universally Slimmable Networks (Yu & Huang, 2019), in-place distillation, which has share 1.
    """
    if not share:
        return truth
    targets = jax.nn.softmax(lax.stop_gradient(teacher))
    return (1 - share) * truth + share * optax.softmax_cross_entropy(logits, targets).mean(-1)


def nested(
    graphdef: nnx.GraphDef,
    params: Tree,
    stats: Tree,
    images: Float[Array, "B H W P"],
    labels: Int[Array, " B"],
    plan: WidthPlan,
    key: PRNGKeyArray,
) -> StepGradient:
    """All widths in one forward and one backward pass at full width.

    A narrow network is a prefix of the wide one, so the head's partial sums are the logits of all widths, and the gradient
    of a weighted sum of their losses is one backward pass. The weights of a random draw are data, not program.

    Raises:
        ValueError: if the network does not keep the prefix property.
    """

    def loss(params: Tree) -> tuple[Array, tuple[Array, Tree]]:
        model = nnx.merge(graphdef, params, stats, copy=True)
        if not model.keeps_prefix:
            raise ValueError("nested training needs triangular layers and one batch norm for all widths")
        logits = model.logits_at(images, plan.widths, _dropout_key(key))
        truth = cross_entropy(logits, labels)
        taught = distilled(logits[:-1], logits[-1], truth[:-1], plan.distillation)
        losses = jnp.append(taught, truth[-1])
        return plan.weights(key).astype(losses.dtype) @ losses, (truth, nnx.state(model, nnx.BatchStat))

    (total, (truth, stats)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return StepGradient(total, truth[0], truth[-1], gradient, stats)


def _dropout_key(key: PRNGKeyArray) -> PRNGKeyArray:
    # The plan draws widths with the step's own key.
    return jax.random.fold_in(key, 1)


class _Pass(NamedTuple):
    """What one width adds to a step; `truth` is the cross-entropy with the labels."""

    loss: Array
    truth: Array
    logits: Array
    stats: Tree
    gradient: Tree


def sequential(
    graphdef: nnx.GraphDef,
    params: Tree,
    stats: Tree,
    images: Float[Array, "B H W P"],
    labels: Int[Array, " B"],
    plan: WidthPlan,
    key: PRNGKeyArray,
) -> StepGradient:
    """One forward and backward pass for each width, the widest first, gradients added up.

    A width that is drawn at random picks one of the compiled sub-networks, so the number of programs is bounded. The
    statistics of a network that keeps the prefix property follow the widest pass, which holds those of all the others; those
    of another network are moved by one pass after the other.

    Source: Any-Width Networks (Vu et al., 2020), Algorithm 1; Slimmable Neural Networks (Yu et al., 2019).
    """
    widest = plan.widths[-1]

    def one_pass(width: float, weight: Array | float, stats: Tree, teacher: Array | None) -> _Pass:
        def loss(params: Tree) -> tuple[Array, tuple[Array, Array, Tree]]:
            model = nnx.merge(graphdef, params, stats, copy=True)
            logits = model(images, width, _dropout_key(key))
            truth = cross_entropy(logits, labels)
            # The widest learns from the labels alone, also where it is drawn.
            value = (
                truth if teacher is None or width == widest else distilled(logits, teacher, truth, plan.distillation)
            )
            return jnp.asarray(weight, value.dtype) * value, (truth, logits, nnx.state(model, nnx.BatchStat))

        (value, (truth, logits, moved)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return _Pass(value, truth, logits, moved, gradient)

    keeps_prefix = nnx.merge(graphdef, params, stats, copy=True).keeps_prefix
    weights = {width: weight for width, weight in zip(plan.widths, plan.base, strict=True) if weight}
    first = one_pass(widest, weights[widest], stats, None)
    passes = [first]
    stats = first.stats
    for width in sorted(weights.keys() - {widest}, reverse=True):
        passes.append(one_pass(width, weights[width], stats, first.logits))
        stats = first.stats if keeps_prefix else passes[-1].stats
    narrowest = passes[-1]
    if plan.draws:
        programs = [functools.partial(one_pass, width, plan.draw_weight) for width in plan.widths]
        for index in plan.drawn(key):
            passes.append(lax.switch(index, programs, stats, first.logits))
            stats = first.stats if keeps_prefix else passes[-1].stats
    total = functools.reduce(jnp.add, [one.loss for one in passes])
    gradient = functools.reduce(functools.partial(jax.tree.map, jnp.add), [one.gradient for one in passes])
    return StepGradient(total, narrowest.truth, first.truth, gradient, stats)


OBJECTIVES: dict[str, Objective] = {"nested": nested, "sequential": sequential}
