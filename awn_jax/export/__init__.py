"""Trained networks for other programs: StableHLO, ONNX, plain Flax, and a file that grows with the width."""

from awn_jax.export.graph import ExportError, Graph, Step
from awn_jax.export.trace import ordinary

__all__ = ["ExportError", "Graph", "Step", "ordinary"]
