"""The optimiser of the paper, SGD with momentum, a stepped learning rate and coupled weight decay; and AdamW."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array

from awn_jax.layers import DepthwiseConv

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
            marks = [round(share * steps) for share in at]
            return lambda step: peak * _power(factor, marks, step)
        case "linear":
            rate = optax.linear_schedule(peak, 0.0, steps)
        case "cosine":
            rate = optax.cosine_decay_schedule(peak, steps)
        case _:
            raise ValueError(f"schedule must be 'step', 'linear' or 'cosine', got {schedule!r}")
    # Optax takes whole numbers from others, which JAX may be told to refuse.
    return lambda step: rate(jnp.asarray(step, jnp.float32))


def _power(factor: float, marks: list[int], step: Any) -> Any:
    """`factor` to the power of how many marks have been passed."""
    # One look-up, however many marks there are: a decay in every epoch has hundreds.
    return jnp.asarray([factor**passed for passed in range(len(marks) + 1)])[
        jnp.searchsorted(jnp.asarray(marks, jnp.int32), jnp.asarray(step), side="right")
    ]


def kernels(model: nnx.Module) -> Any:
    """Which parameters are weights of convolutions and dense layers, in the places of `nnx.state(model, nnx.Param)`.

    Biases, norms and depthwise convolutions are not: they have few numbers, and a decay takes away from them what the layers
    after them need.

    Source: the recipes of Slimmable Neural Networks (Yu et al., 2019).
    """
    spared = {path for path, module in nnx.iter_modules(model) if isinstance(module, DepthwiseConv)}

    def is_kernel(path: Any, _: Array) -> bool:
        *layer, name = (key.key for key in path if hasattr(key, "key"))
        return name == "kernel" and tuple(layer) not in spared

    return jax.tree.map_with_path(is_kernel, nnx.state(model, nnx.Param))


def sgd(
    rate: optax.Schedule, *, momentum: float, weight_decay: float, nesterov: bool = False, decays: Any = None
) -> optax.GradientTransformation:
    """SGD as PyTorch has it: the decay is part of the gradient, and so of the momentum.

    Weights that do not exist (above the triangle) are zero and have no gradient, so they stay zero.

    Args:
        rate: the learning rate.
        momentum: share of the last step in the next.
        weight_decay: added to the gradient, times the parameters.
        nesterov: take the gradient where the momentum leads.
        decays: for each parameter, whether it decays; all do if None.
    """
    return optax.chain(optax.add_decayed_weights(weight_decay, decays), optax.sgd(rate, momentum or None, nesterov))


def adamw(
    rate: optax.Schedule, *, momentum: float, weight_decay: float, nesterov: bool = False, decays: Any = None
) -> optax.GradientTransformation:
    """AdamW, which gives early channels, in the gradient of every width, and late ones steps of equal size.

    Arguments are those of `sgd`; the decay is part of the step.
    """
    return optax.adamw(rate, b1=momentum, weight_decay=weight_decay, mask=decays, nesterov=nesterov)


OPTIMIZERS = {"sgd": sgd, "adamw": adamw}
