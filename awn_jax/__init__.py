"""Any-width networks in JAX: one training run, one set of weights, every width."""

from awn_jax.evaluation import Sweep, area_under_curve, sweep
from awn_jax.experiment import Trained, train
from awn_jax.layers import (
    AnyWidthHead,
    BatchNorm,
    Concatenate,
    DepthwiseConv,
    Dropout,
    GroupedConv,
    Layer,
    Op,
    PixelHead,
    TriConv,
    TriDense,
    activation,
    add,
    global_mean,
    max_pool,
    mean_pool,
    relu,
    relu6,
    silu,
    upsample,
)
from awn_jax.models import AnyWidthClassifier, AnyWidthNetwork, LeNet3C1L
from awn_jax.network import check_prefix, cost, costs, distinct_widths
from awn_jax.predict import load
from awn_jax.run import open_run
from awn_jax.training import nested, sequential
from awn_jax.weights import pretrained
from awn_jax.widths import Axis, mask, visible_inputs

__all__ = [
    "AnyWidthClassifier",
    "AnyWidthHead",
    "AnyWidthNetwork",
    "Axis",
    "BatchNorm",
    "Concatenate",
    "DepthwiseConv",
    "Dropout",
    "GroupedConv",
    "Layer",
    "LeNet3C1L",
    "Op",
    "PixelHead",
    "Sweep",
    "Trained",
    "TriConv",
    "TriDense",
    "activation",
    "add",
    "area_under_curve",
    "check_prefix",
    "cost",
    "costs",
    "distinct_widths",
    "global_mean",
    "load",
    "mask",
    "max_pool",
    "mean_pool",
    "nested",
    "open_run",
    "pretrained",
    "relu",
    "relu6",
    "sequential",
    "silu",
    "sweep",
    "train",
    "upsample",
    "visible_inputs",
]
