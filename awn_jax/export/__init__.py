"""Trained networks for other programs: StableHLO, ONNX, plain Flax, and a file that grows with the width."""

from awn_jax.export import bundle
from awn_jax.export import to_flax as flax
from awn_jax.export import to_onnx as onnx
from awn_jax.export import to_stablehlo as stablehlo
from awn_jax.export.checks import ExportError
from awn_jax.export.graph import Graph, Step
from awn_jax.export.lowering import lowered

ordinary = lowered

__all__ = ["ExportError", "Graph", "Step", "bundle", "flax", "lowered", "onnx", "ordinary", "stablehlo"]
