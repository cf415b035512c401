"""Accuracy at every width."""

from awn_jax.evaluation.sweep import Row, Sweep, area_under_curve, make_scorer, sweep

__all__ = ["Row", "Sweep", "area_under_curve", "make_scorer", "sweep"]
