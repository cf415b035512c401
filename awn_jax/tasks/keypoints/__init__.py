"""Key points: heat maps, places finer than their cells, and errors in pixels."""

from awn_jax.tasks.keypoints.keypoints import KeyPoints

__all__ = ["KeyPoints"]
