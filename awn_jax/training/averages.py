"""The moving average of a network over its training: of its weights, and of its batch norms' statistics with them.

At a rate that does not fall, weights go to and fro around a good place; their average is nearer to it. The averages of the
statistics serve while training goes on. They are not quite those of the averaged weights: a channel's mean is linear in the
weights in front of it, its variance is not, and comes out too large. So they are computed once more at the end, see
`calibration.recompute`.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int


def follow(average: Any, newest: Any, steps: int | Int[Array, ""], decay: float) -> Any:
    """The average of a tree's values after each of so many steps, the newest among them.

    The weight of a step in it is `decay` times that of the step after it, and weights add up to one: what was there before
    the first step is no part of it.

        average ← average + (1 − decay) / (1 − decay^steps) · (newest − average)

    Args:
        average: of the steps before the newest; after one step it does not matter.
        newest: a tree of arrays; those that hold no floats are taken as they are.
        steps: how many, at least 1.
        decay: in (0, 1).

    Source: the bias correction of Adam (Kingma & Ba, 2015) for Polyak's average (Polyak & Juditsky, 1992).
    """
    # Not 1 − decay^steps, of which a float32 keeps few digits.
    share = (1 - decay) / -jnp.expm1(jnp.asarray(steps, jnp.float32) * math.log(decay))

    def one(old: Array, new: Array) -> Array:
        if not jnp.issubdtype(new.dtype, jnp.floating):
            return new
        return old + share.astype(new.dtype) * (new - old)

    return jax.tree.map(one, average, newest)
