"""The optimiser of the paper, SGD with momentum, a stepped learning rate and coupled weight decay; and others of optax."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array

from awn_jax.layers import DepthwiseConv
from awn_jax.training.places import place

Schedule = Literal["step", "linear", "cosine"]


def learning_rate(
    schedule: Schedule, peak: float, steps: int, *, at: tuple[float, ...], factor: float, warmup: int = 0
) -> optax.Schedule:
    """The learning rate of each step.

    Args:
        schedule: `step` multiplies by `factor` at each share `at` of the steps; `linear` and `cosine` go down to zero.
        peak: the first one, but for the warm-up.
        steps: of the whole run.
        at: shares of the run, ascending in (0, 1); for `step`.
        factor: for `step`.
        warmup: so many first steps multiply the schedule's rate by 1/warmup, 2/warmup and so on up to 1.

    Raises:
        ValueError: if the schedule is unknown.

    Source: of the warm-up, Accurate, Large Minibatch SGD (Goyal et al., 2017).
    """
    if warmup:
        scheduled = learning_rate(schedule, peak, steps, at=at, factor=factor)
        return lambda step: scheduled(step) * jnp.minimum(1, (jnp.asarray(step, jnp.float32) + 1) / warmup)
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
        layer, name = place(path)
        return bool(name == "kernel" and layer not in spared)

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


def lamb(
    rate: optax.Schedule, *, momentum: float, weight_decay: float, decays: Any = None
) -> optax.GradientTransformation:
    """LAMB: steps of Adam, each array's scaled to the size of the array; for batches of thousands of images.

    Arguments are those of `adamw`, but for Nesterov's momentum.

    Source: Large Batch Optimization for Deep Learning (You et al., 2020).
    """
    return optax.lamb(rate, b1=momentum, weight_decay=weight_decay, mask=decays)


def lion(
    rate: optax.Schedule, *, momentum: float, weight_decay: float, decays: Any = None
) -> optax.GradientTransformation:
    """Lion: steps by the sign of the momentum alone, which want a third to a tenth of AdamW's rate, and a decay that is larger
    by as much.

    Arguments are those of `lamb`.

    Source: Symbolic Discovery of Optimization Algorithms (Chen et al., 2023).
    """
    return optax.lion(rate, b1=momentum, weight_decay=weight_decay, mask=decays)


def clipped(optimizer: optax.GradientTransformation, norm: float) -> optax.GradientTransformation:
    """An optimiser whose gradient is scaled down to a norm, taken over all parameters, where it is longer.

    Source: On the Difficulty of Training Recurrent Neural Networks (Pascanu et al., 2013).
    """
    return optax.chain(optax.clip_by_global_norm(norm), optimizer)


OPTIMIZERS = {"sgd": sgd, "adamw": adamw, "lamb": lamb, "lion": lion}
