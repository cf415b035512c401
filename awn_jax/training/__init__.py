"""Training at many widths at once."""

from awn_jax.training.objectives import OBJECTIVES, nested, sequential
from awn_jax.training.plan import WidthPlan
from awn_jax.training.step import NonFiniteError, Recipe, TrainState, init_state, make_train_steps, merge, split

__all__ = [
    "OBJECTIVES",
    "NonFiniteError",
    "Recipe",
    "TrainState",
    "WidthPlan",
    "init_state",
    "make_train_steps",
    "merge",
    "nested",
    "sequential",
    "split",
]
