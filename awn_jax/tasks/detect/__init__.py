"""Detection: which cell finds which object, the loss, the choice of boxes, and average precision."""

from awn_jax.tasks.detect.detection import Detection

__all__ = ["Detection"]
