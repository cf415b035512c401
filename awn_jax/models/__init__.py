"""Networks."""

from awn_jax.models.base import AnyWidthClassifier, axes, distinct_widths
from awn_jax.models.lenet import LeNet3C1L

__all__ = ["AnyWidthClassifier", "LeNet3C1L", "axes", "distinct_widths"]
