"""Layers that run at any width."""

from awn_jax.layers.dropout import dropout
from awn_jax.layers.functional import max_pool
from awn_jax.layers.head import AnyWidthHead
from awn_jax.layers.norm import BatchNorm
from awn_jax.layers.sliced import Conv
from awn_jax.layers.slimmable import CalibratedBatchNorm, SwitchableBatchNorm
from awn_jax.layers.triangular import TriConv, TriDense

__all__ = [
    "AnyWidthHead",
    "BatchNorm",
    "CalibratedBatchNorm",
    "Conv",
    "SwitchableBatchNorm",
    "TriConv",
    "TriDense",
    "dropout",
    "max_pool",
]
