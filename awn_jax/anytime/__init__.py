"""Answers that come early and get better: a narrow network first, wider ones from what it has computed."""

from awn_jax.anytime.predict import BATCH_SIZES, LADDER, Prediction, Predictor
from awn_jax.anytime.widening import State, start, widen

__all__ = ["BATCH_SIZES", "LADDER", "Prediction", "Predictor", "State", "start", "widen"]
