"""Answers that come early and get better: a narrow network first, wider ones from what it has computed."""

from awn_jax.anytime.network import State, start, widen
from awn_jax.anytime.predict import LADDER, Prediction, Predictor

__all__ = ["LADDER", "Prediction", "Predictor", "State", "start", "widen"]
