"""Layers at which the Hopper kernels are lowered and compiled, and how to lower them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels import pallas_mosaic_gpu

SAME3 = ((1, 1), (1, 1))
VALID = ((0, 0), (0, 0))


class Layer(NamedTuple):
    """x [B, H, W, C], w [kh, kw, C, K]; the staircase is the triangle through (C, K)."""

    name: str
    x_shape: tuple[int, int, int, int]
    w_shape: tuple[int, int, int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = SAME3

    @property
    def visible(self):
        c, k = self.w_shape[2:]
        return tuple(-(-c * (i + 1) // k) for i in range(k))

    @property
    def y_shape(self):
        height, width = (n + sum(pad) for n, pad in zip(self.x_shape[1:3], self.padding, strict=True))
        (kh, kw), (sh, sw) = self.w_shape[:2], self.strides
        return (self.x_shape[0], (height - kh) // sh + 1, (width - kw) // sw + 1, self.w_shape[3])


LAYERS = (
    Layer("lenet_conv1", (128, 28, 28, 1), (3, 3, 1, 45), padding=VALID),
    Layer("lenet_conv3", (128, 13, 13, 45), (5, 5, 45, 45), padding=VALID),
    Layer("expand_34_204", (128, 16, 16, 34), (1, 1, 34, 204), padding=VALID),
    Layer("project_204_34", (128, 16, 16, 204), (1, 1, 204, 34), padding=VALID),
    Layer("head_452_1810", (128, 4, 4, 452), (1, 1, 452, 1810), padding=VALID),
    Layer("conv3_256", (128, 14, 14, 256), (3, 3, 256, 256)),
    Layer("conv3_512", (128, 28, 28, 512), (3, 3, 512, 512)),
    Layer("conv3_512_stride2", (128, 15, 15, 256), (3, 3, 256, 512), (2, 2)),
    Layer("conv1_512", (128, 28, 28, 512), (1, 1, 512, 512), padding=VALID),
    Layer("conv1_256_512_stride2", (128, 28, 28, 256), (1, 1, 256, 512), (2, 2), VALID),
)


def lower_products(layer, conv=None, weight=None, sharding=None):
    """Yields (name, lowering for CUDA) of the three products."""

    def aval(shape):
        return jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=sharding)

    def lower(product, first, second, tiling, **shapes):
        def call(a, b):
            return product(a, b, layer.visible, strides=layer.strides, padding=layer.padding, tiling=tiling, **shapes)

        return jax.jit(call).trace(aval(first), aval(second)).lower(lowering_platforms=("cuda",))

    x, w, y = layer.x_shape, layer.w_shape, layer.y_shape
    yield "forward", lower(pallas_mosaic_gpu.forward, x, w, conv)
    yield "input_gradient", lower(pallas_mosaic_gpu.input_gradient, y, w, conv, x_shape=x)
    yield "weight_gradient", lower(pallas_mosaic_gpu.weight_gradient, x, y, weight, w_shape=w)
