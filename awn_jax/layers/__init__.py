"""Layers that run at any width."""

from awn_jax.layers.branches import BranchedConv, PrivateHead
from awn_jax.layers.connections import MaskedConv, MaskedDense
from awn_jax.layers.conv import Conv, TriConv
from awn_jax.layers.dense import Dense, TriDense
from awn_jax.layers.depthwise import DepthwiseConv
from awn_jax.layers.dropout import Dropout, dropout
from awn_jax.layers.grouped import GroupedConv
from awn_jax.layers.head import AnyWidthHead, Head, PixelHead
from awn_jax.layers.merge import Concatenate
from awn_jax.layers.norm import BatchNorm, Norm
from awn_jax.layers.op import Layer, Op
from awn_jax.layers.pointwise import activation, add, relu, relu6, silu
from awn_jax.layers.pooling import global_mean, max_pool, mean_pool
from awn_jax.layers.resizing import upsample
from awn_jax.layers.shuffle import ChannelShuffle
from awn_jax.layers.slimmable import CalibratedBatchNorm, SwitchableBatchNorm

__all__ = [
    "AnyWidthHead",
    "BatchNorm",
    "BranchedConv",
    "CalibratedBatchNorm",
    "ChannelShuffle",
    "Concatenate",
    "Conv",
    "Dense",
    "DepthwiseConv",
    "Dropout",
    "GroupedConv",
    "Head",
    "Layer",
    "MaskedConv",
    "MaskedDense",
    "Norm",
    "Op",
    "PixelHead",
    "PrivateHead",
    "SwitchableBatchNorm",
    "TriConv",
    "TriDense",
    "activation",
    "add",
    "dropout",
    "global_mean",
    "max_pool",
    "mean_pool",
    "relu",
    "relu6",
    "silu",
    "upsample",
]
