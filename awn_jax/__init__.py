"""Any-width networks in JAX: one training run, one set of weights, every width."""

from awn_jax.evaluation import Sweep, area_under_curve, sweep
from awn_jax.inspection import check_prefix, cost
from awn_jax.layers import AnyWidthHead, BatchNorm, TriConv, TriDense, max_pool
from awn_jax.models import AnyWidthClassifier, LeNet3C1L
from awn_jax.training import nested, sequential
from awn_jax.widths import Axis, distinct_widths, mask, visible_inputs

__all__ = [
    "AnyWidthClassifier",
    "AnyWidthHead",
    "Axis",
    "BatchNorm",
    "LeNet3C1L",
    "Sweep",
    "TriConv",
    "TriDense",
    "area_under_curve",
    "check_prefix",
    "cost",
    "distinct_widths",
    "mask",
    "max_pool",
    "nested",
    "sequential",
    "sweep",
    "visible_inputs",
]
