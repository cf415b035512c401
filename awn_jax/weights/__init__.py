"""Weights in one file: a trained network with all that is needed to use it, and those that come with the package."""

from awn_jax.weights.file import Saved, WeightsError, is_weights, load, save
from awn_jax.weights.shipped import pretrained
from awn_jax.weights.source import find, place
from awn_jax.weights.start import begin_from

__all__ = ["Saved", "WeightsError", "begin_from", "find", "is_weights", "load", "place", "pretrained", "save"]
