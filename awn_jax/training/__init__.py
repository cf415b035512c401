"""Training at many widths at once."""

from awn_jax.training.objectives import OBJECTIVES, nested, sequential
from awn_jax.training.plan import WidthPlan
from awn_jax.training.step import TrainState, init_state, make_train_steps, split

__all__ = [
    "OBJECTIVES",
    "TrainState",
    "WidthPlan",
    "init_state",
    "make_train_steps",
    "nested",
    "sequential",
    "split",
]
