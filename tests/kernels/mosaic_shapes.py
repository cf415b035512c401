"""Lowering the Hopper kernels' three products for CUDA."""

import jax
import jax.numpy as jnp
from awn_kernels.bench.gpu.layers import KEY_LAYERS, OTHER_LAYERS
from awn_kernels.mosaic_gpu import ops

from tests.kernels.oracle import Case


def as_case(layer):
    return Case(layer.name, layer.x_shape, layer.w_shape, layer.visible, layer.strides, layer.pads)


LAYERS = tuple(as_case(layer) for layer in (*KEY_LAYERS, *OTHER_LAYERS))


def lower_products(case, conv=None, weight=None, sharding=None):
    """Yields (name, lowering for CUDA) of the three products."""

    def aval(shape):
        return jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=sharding)

    def lower(product, first, second, config, **shapes):
        def call(a, b):
            return product(a, b, case.visible, strides=case.strides, padding=case.padding, config=config, **shapes)

        return jax.jit(call).trace(aval(first), aval(second)).lower(lowering_platforms=("cuda",))

    x, w, y = case.x_shape, case.w_shape, case.y_shape
    yield "forward", lower(ops.forward, x, w, conv)
    yield "input_gradient", lower(ops.input_gradient, y, w, conv, x_shape=x)
    yield "weight_gradient", lower(ops.weight_gradient, x, y, weight, w_shape=w)
