"""Any-width networks in JAX: one training run, one set of weights, every width."""

from awn_jax.layers import AnyWidthHead, BatchNorm, TriConv, TriDense, max_pool
from awn_jax.models import AnyWidthClassifier, AnyWidthNetwork, LeNet3C1L
from awn_jax.network import check_prefix, cost, distinct_widths
from awn_jax.widths import Axis, mask, visible_inputs
