"""The optimiser of the paper, SGD with momentum, a stepped learning rate and coupled weight decay; and AdamW."""

from typing import Literal

import jax.numpy as jnp
import optax

Schedule = Literal["step", "linear", "cosine"]


def learning_rate(
    schedule: Schedule, peak: float, steps: int, *, at: tuple[float, ...], factor: float
) -> optax.Schedule:
    """The learning rate of each step.

    Args:
        schedule: `step` multiplies by `factor` at each share `at` of the steps; `linear` and `cosine` go down to zero.
        peak: the first one.
        steps: of the whole run.
        at: shares of the run, ascending in (0, 1); for `step`.
        factor: for `step`.

    Raises:
        ValueError: if the schedule is unknown.
    """
    match schedule:
        case "step":
            rate = optax.piecewise_constant_schedule(peak, {round(share * steps): factor for share in at})
        case "linear":
            rate = optax.linear_schedule(peak, 0.0, steps)
        case "cosine":
            rate = optax.cosine_decay_schedule(peak, steps)
        case _:
            raise ValueError(f"schedule must be 'step', 'linear' or 'cosine', got {schedule!r}")
    # Optax takes whole numbers from others, which JAX may be told to refuse.
    return lambda step: rate(jnp.asarray(step, jnp.float32))


def sgd(rate: optax.Schedule, *, momentum: float, weight_decay: float) -> optax.GradientTransformation:
    """SGD as PyTorch has it: the decay is part of the gradient, on every parameter, and so of the momentum.

    Weights that do not exist (above the triangle) are zero and have no gradient, so they stay zero.
    """
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(rate, momentum or None))


def adamw(rate: optax.Schedule, *, momentum: float, weight_decay: float) -> optax.GradientTransformation:
    """AdamW, which gives early channels, in the gradient of every width, and late ones steps of equal size."""
    return optax.adamw(rate, b1=momentum, weight_decay=weight_decay)


OPTIMIZERS = {"sgd": sgd, "adamw": adamw}
