"""A class for every pixel."""

from awn_jax.tasks.segment.segmentation import Segmentation

__all__ = ["Segmentation"]
