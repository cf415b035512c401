"""A batch in parts, one after the other: the memory of a part, the gradient of the batch.

Dimensions: B batch, H height, W width in pixels, P planes.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Num, PRNGKeyArray

from awn_jax.tasks import Task
from awn_jax.training.objectives import CLASSIFICATION, Cast, Objective, StepGradient, Tree, as_they_are
from awn_jax.training.plan import WidthPlan
from awn_jax.training.scan import scan


def accumulated(objective: Objective, parts: int) -> Objective:
    """An objective that learns from a batch in equal parts, and gives what the whole batch would teach.

    Every part learns from the same widths. Loss and gradient are those of the batch, up to rounding, unless a layer looks at
    the batch: a batch norm normalises each part by that part's own statistics, and every part moves the running ones.

    Args:
        objective: one of `OBJECTIVES`.
        parts: how many; the images of a batch that a device holds must be a multiple of it.
    """
    if parts == 1:
        return objective

    def learn(
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
    ) -> StepGradient:
        def one(rest: Tree, row: Any) -> StepGradient:
            part, images, targets = row
            return objective(graphdef, params, rest, images, targets, plan, key, task, cast=cast, part=part)

        def add(total: StepGradient, row: Any) -> tuple[StepGradient, None]:
            # A part begins when the one before has ended, or their activations would be in memory together.
            total, row = lax.optimization_barrier((total, row))
            learnt = one(total.rest, row)
            return _mapped(jnp.add, total, learnt)._replace(rest=learnt.rest), None

        # Dealt in turn, so that every device keeps the images that it has.
        dealt = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0), (images, targets))
        rows = (jnp.arange(parts), *dealt)
        like = jax.eval_shape(one, rest, jax.tree.map(lambda row: row[0], rows))
        nothing = _mapped(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)._replace(rest=rest)
        total, _ = scan(add, nothing, rows)
        return _mapped(lambda leaf: leaf / parts, total)._replace(rest=total.rest)

    return learn


def _mapped(function: Any, *several: StepGradient) -> StepGradient:
    """A function of all but the rest."""
    return jax.tree.map(function, *(one._replace(rest=None) for one in several))
