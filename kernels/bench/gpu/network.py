"""A training step of a ResNet-like any-width net, to see what a faster layer is worth end to end."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from ... import vjp
from ...backend import Products
from ...geometry import DIMENSIONS
from ...shapes import Shape
from ...timing import Call, Times, interleaved

Params = dict[str, Any]
LEARNING_RATE, MOMENTUM = 0.01, 0.9


def init(layer: Shape, blocks: int, classes: int, seed: int = 0) -> Params:
    """Returns float32 parameters: a stem, residual blocks of two 3×3 convolutions like `layer`, a dense head."""
    channels = layer.out_channels
    keys = iter(jax.random.split(jax.random.key(seed), 2 * blocks + 2))

    def weights(shape: tuple[int, ...], fan_in: int) -> Array:
        return jax.random.normal(next(keys), shape) * (2 / fan_in) ** 0.5

    def norm() -> tuple[Array, Array]:
        return jnp.ones(channels), jnp.zeros(channels)

    return {
        "stem": weights((3, 3, 3, channels), 27),
        "stem_norm": norm(),
        "blocks": [
            # A triangular layer reads half of its fan-in on average.
            [{"w": weights(layer.w_shape, 9 * channels // 2), "norm": norm()} for _ in range(2)]
            for _ in range(blocks)
        ],
        "head": weights((channels, classes), channels),
    }


def train_step(layer: Shape, products: Products) -> Callable[..., tuple[Params, Params, Array]]:
    """Returns (params, momentum, images, labels) -> the same two updated, and the loss; bfloat16 activations."""

    def conv(x: Array, w: Array) -> Array:
        return vjp.conv(x, w.astype(x.dtype), products, layer.visible, layer.strides, layer.pads)

    def loss(params: Params, images: Array, labels: Array) -> Array:
        stem = params["stem"].astype(images.dtype)
        x = lax.conv_general_dilated(images, stem, (1, 1), "SAME", dimension_numbers=DIMENSIONS)
        x = jax.nn.relu(_batch_norm(x, *params["stem_norm"]))
        for first, second in params["blocks"]:
            y = jax.nn.relu(_batch_norm(conv(x, first["w"]), *first["norm"]))
            x = jax.nn.relu(x + _batch_norm(conv(y, second["w"]), *second["norm"]))
        logits = x.astype(jnp.float32).mean((1, 2)) @ params["head"]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()

    def step(params: Params, momentum: Params, images: Array, labels: Array) -> tuple[Params, Params, Array]:
        value, grads = jax.value_and_grad(loss)(params, images, labels)
        momentum = jax.tree.map(lambda m, g: MOMENTUM * m + g, momentum, grads)
        params = jax.tree.map(lambda p, m: p - LEARNING_RATE * m, params, momentum)
        return params, momentum, value

    return step


def compare(
    layer: Shape, blocks: int, contenders: dict[str, Products], *, steps: int, samples: int
) -> tuple[dict[str, Times], dict[str, list[float]]]:
    """Trains and times the net with each way to convolve.

    Args:
      layer: the convolution of all blocks; as many inputs as outputs.
      blocks: residual blocks.
      contenders: ways to convolve.
      steps: steps to train first, all on one batch.
      samples: timings to take.

    Returns:
      Seconds per step, and the losses of the first steps, which should agree.
    """
    images = jax.random.normal(jax.random.key(1), (*layer.x_shape[:3], 3), jnp.bfloat16)
    labels = jax.random.randint(jax.random.key(2), (layer.batch,), 0, 10)
    calls, losses = {}, {}
    for name, products in contenders.items():
        params = init(layer, blocks, classes=10)
        momentum = jax.tree.map(jnp.zeros_like, params)
        step = jax.jit(train_step(layer, products)).lower(params, momentum, images, labels).compile()
        seen = []
        for _ in range(steps):
            params, momentum, value = step(params, momentum, images, labels)
            seen.append(float(value))
        losses[name] = seen
        calls[name] = Call(step, [(params, momentum, images, labels)])
    return interleaved(calls, samples, sample_seconds=0.2), losses


def _batch_norm(x: Array, scale: Array, offset: Array, axes: Sequence[int] = (0, 1, 2)) -> Array:
    wide = x.astype(jnp.float32)
    mean, var = wide.mean(axes), wide.var(axes)
    return ((wide - mean) * (lax.rsqrt(var + 1e-5) * scale) + offset).astype(x.dtype)
