"""Metrics at every width."""

from awn_jax.evaluation.sweep import Row, Sweep, SweepError, area_under_curve, sweep

__all__ = ["Row", "Sweep", "SweepError", "area_under_curve", "sweep"]
