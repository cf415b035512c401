"""The loss of a step over many widths, with its gradient: in one pass, or in one pass for each width.

Both give the same loss and the same gradient; `nested` costs about one full-width pass.

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
        loss: weighted sum of the cross-entropies of the step's widths.
        narrowest, widest: the mean cross-entropy at the ends of the plan.
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
    """

    def loss(params: Tree) -> tuple[Array, tuple[Array, Tree]]:
        model = nnx.merge(graphdef, params, stats, copy=True)
        losses = cross_entropy(model.logits_at(images, plan.widths), labels)
        return plan.weights(key).astype(losses.dtype) @ losses, (losses, nnx.state(model, nnx.BatchStat))

    (total, (losses, stats)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return StepGradient(total, losses[0], losses[-1], gradient, stats)


def sequential(
    graphdef: nnx.GraphDef,
    params: Tree,
    stats: Tree,
    images: Float[Array, "B H W P"],
    labels: Int[Array, " B"],
    plan: WidthPlan,
    key: PRNGKeyArray,
) -> StepGradient:
    """One forward and backward pass for each width, gradients added up.

    A width that is drawn at random picks one of the compiled sub-networks, so the number of programs is bounded. The running
    statistics follow the widest pass, which holds those of all the others.

    Source: Any-Width Networks (Vu et al., 2020), Algorithm 1.
    """

    def one_pass(width: float, params: Tree) -> tuple[tuple[Array, Tree], Tree]:
        def loss(params: Tree) -> tuple[Array, Tree]:
            model = nnx.merge(graphdef, params, stats, copy=True)
            value = cross_entropy(model(images, width), labels)
            return plan.weight * value, nnx.state(model, nnx.BatchStat)

        return jax.value_and_grad(loss, has_aux=True)(params)

    listed = plan.widths if plan.draws is None else (plan.widths[0], plan.widths[-1])
    passes = [one_pass(width, params) for width in listed]
    first, last = passes[0], passes[-1]
    if plan.draws:

        def drawn_pass(width: float, params: Tree) -> tuple[Array, Tree]:
            (value, _), gradient = one_pass(width, params)
            return value, gradient

        programs = [functools.partial(drawn_pass, width) for width in plan.widths]
        for index in plan.drawn(key):
            value, gradient = lax.switch(index, programs, params)
            passes.append(((value, None), gradient))
    total = functools.reduce(jnp.add, [value for (value, _), _ in passes])
    gradient = functools.reduce(functools.partial(jax.tree.map, jnp.add), [gradient for _, gradient in passes])
    return StepGradient(total, first[0][0] / plan.weight, last[0][0] / plan.weight, gradient, last[0][1])


OBJECTIVES: dict[str, Objective] = {"nested": nested, "sequential": sequential}
