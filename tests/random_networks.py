"""Small networks drawn at random from the library's ops: what looks into a network is compared with its direct run on them."""

import operator
import random
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from awn_jax import widths
from awn_jax.layers import (
    AnyWidthHead,
    BatchNorm,
    Concatenate,
    DepthwiseConv,
    GroupedConv,
    TriConv,
    TriDense,
    add,
    global_mean,
    max_pool,
    mean_pool,
    relu,
    relu6,
    silu,
)
from awn_jax.layers.sliced import Sliced
from awn_jax.models import AnyWidthClassifier

# What has no weights, by name; some of it in plain JAX, as a model may write it.
FUNCTIONS: dict[str, Callable] = {
    "add": add,
    "add in plain JAX": operator.add,
    "relu": relu,
    "relu in plain JAX": nnx.relu,
    "relu6": relu6,
    "silu": silu,
    "tanh in plain JAX": jnp.tanh,
    "half in plain JAX": lambda x: 0.5 * x + 0.25,
    "padded max pool": lambda x: max_pool(x, 3, strides=2, padding=((1, 1), (0, 1))),
    "max pool": max_pool,
    "padded mean pool": lambda x: mean_pool(x, 3, strides=2, padding="SAME"),
    "global mean": global_mean,
    "global mean, kept pixel": lambda x: global_mean(x, keepdims=True),
    "global mean in plain JAX": lambda x: x.mean((1, 2)),
}
ACTIVATIONS = ("relu", "relu in plain JAX", "relu6", "silu", "tanh in plain JAX")
# One kind for each seed in turn, so that a few seeds in a row meet all of them.
KINDS = ("residual before activation", "residual after activation", "branches", "depthwise", "grouped", "pool", "skip")


class RandomNetwork(AnyWidthClassifier):
    """Six to ten ops on images of at most 12 × 12 pixels, with at most 12 channels.

    Attributes:
        layers: those with weights, and concatenations.
        steps: of the features, each a name in `FUNCTIONS` or a number in `layers`, and the numbers of the values that it reads:
            0 is the images, n the result of step n − 1.
    """

    def __init__(self, seed: int, rngs: nnx.Rngs):
        self._draw, self._rngs = random.Random(seed), rngs
        draw = self._draw
        self.image_size = (draw.randint(7, 12), draw.randint(7, 12), draw.randint(1, 3))
        self.layers, self.steps = nnx.List([]), ()
        kind = KINDS[seed % len(KINDS)]
        self._births = "pairs" if kind == "grouped" else draw.choice(["single", "pairs", "grid", "core"])
        self._axes = [widths.Axis.whole(self.image_size[-1])]
        self._shapes = [self.image_size]
        ending = draw.choice(["pixels", "mean", "dense"])
        x = self._conv(0)
        x = self._block(kind, x)
        while len(self.steps) < 8 - {"pixels": 1, "mean": 2, "dense": 4}[ending]:
            x = self._filling(x)
        if ending != "pixels":
            x = self._step(draw.choice([name for name in FUNCTIONS if name.startswith("global mean")]), x)
        if ending == "dense":
            hidden = self._axis()
            # A dense layer acts on the last axis: pixels do not matter to it.
            x = self._step(draw.choice(ACTIVATIONS), self._layer(TriDense(self._axes[x], hidden, rngs=rngs), hidden, x))
        pixels = int(np.prod(self._shapes[x][:-1]))
        self.head = AnyWidthHead(self._axes[x], pixels, draw.randint(2, 5), rngs=rngs)
        del self._draw, self._rngs, self._births, self._axes, self._shapes

    def features(self, x, width=1):
        values = [x]
        for what, inputs in self.steps:
            values.append(self._run(what, [values[i] for i in inputs], width))
        return values[-1]

    def _run(self, what, inputs: Sequence[jax.Array], width):
        if isinstance(what, str):
            return FUNCTIONS[what](*inputs)
        layer = self.layers[what]
        return layer(inputs, width) if isinstance(layer, Concatenate) else layer(*inputs, width)

    def _block(self, kind: str, x: int) -> int:
        match kind:
            case "residual before activation":
                return self._sum(x, self._same(self._activation(self._norm(x))))
            case "residual after activation":
                return self._activation(self._sum(x, self._norm(self._same(x))))
            case "branches":
                return self._concatenated(self._same(x, self._axis()), self._depthwise(x))
            case "depthwise":
                return self._norm(self._depthwise(x))
            case "grouped":
                outputs = self._axis()
                layer = GroupedConv(self._axes[x], outputs, 3, groups=2, padding=1, use_bias=True, rngs=self._rngs)
                return self._activation(self._layer(layer, outputs, x))
            case "pool":
                return self._same(self._step("padded max pool", x), self._axis())
        # A skip: two readers of one value, one of them far from it.
        return self._concatenated(x, self._same(self._activation(x), self._axis()))

    def _filling(self, x: int) -> int:
        rows, columns, _ = self._shapes[x]
        pools = ["max pool", "padded max pool", "padded mean pool"] if min(rows, columns) >= 4 else []
        what = self._draw.choice(["conv", "norm", "activation", "half in plain JAX", *pools])
        match what:
            case "conv":
                return self._conv(x)
            case "norm":
                return self._norm(x)
            case "activation":
                return self._activation(x)
        return self._step(what, x)

    def _axis(self) -> widths.Axis:
        channels = self._draw.randint(3, 6)
        match self._births:
            case "pairs":
                return widths.Axis.of(channels + channels % 2, group=2)
            case "grid":
                return widths.Axis.of(channels, grid=4)
            case "core":
                return widths.Axis.of(channels, core=0.3)
        return widths.Axis.of(channels)

    def _conv(self, x: int) -> int:
        large = min(self._shapes[x][:2]) >= 4
        options = {
            "strides": self._draw.choice([1, 1, 2, (1, 2)]) if large else 1,
            "padding": self._draw.choice(["SAME", "VALID", 1, ((0, 1), (2, 1))]) if large else "SAME",
            "use_bias": self._draw.random() < 0.5,
        }
        outputs = self._axis()
        size = self._draw.choice([1, 2, 3, (1, 3)])
        return self._layer(TriConv(self._axes[x], outputs, size, **options, rngs=self._rngs), outputs, x)

    def _same(self, x: int, outputs: widths.Axis | None = None) -> int:
        """A convolution that keeps the pixels, and the channels if no others are asked for."""
        outputs = outputs or self._axes[x]
        options = self._draw.choice(
            [{"padding": "SAME"}, {"padding": ((1, 1), (1, 1))}, {"padding": 2, "kernel_dilation": 2}]
        )
        return self._layer(TriConv(self._axes[x], outputs, 3, **options, rngs=self._rngs), outputs, x)

    def _depthwise(self, x: int) -> int:
        axis = self._axes[x]
        return self._layer(DepthwiseConv(axis, 3, padding=((1, 1), (1, 1)), use_bias=True, rngs=self._rngs), axis, x)

    def _norm(self, x: int) -> int:
        return self._layer(BatchNorm(self._axes[x]), self._axes[x], x)

    def _activation(self, x: int) -> int:
        return self._step(self._draw.choice(ACTIVATIONS), x)

    def _sum(self, *inputs: int) -> int:
        return self._step(self._draw.choice(["add", "add in plain JAX"]), *inputs)

    def _concatenated(self, *inputs: int) -> int:
        layer = Concatenate([self._axes[i] for i in inputs])
        return self._layer(layer, layer.axis, *inputs)

    def _layer(self, layer: nnx.Module, axis: widths.Axis, *inputs: int) -> int:
        # A norm would move its statistics while shapes are found.
        layer.eval()
        self.layers.append(layer)
        return self._step(len(self.layers) - 1, *inputs, axis=axis)

    def _step(self, what: int | str, *inputs: int, axis: widths.Axis | None = None) -> int:
        given = [jax.ShapeDtypeStruct((1, *self._shapes[i]), jnp.float32) for i in inputs]
        self._shapes.append(jax.eval_shape(lambda *x: self._run(what, x, 1), *given).shape[1:])
        self._axes.append(axis or self._axes[inputs[0]])
        self.steps += ((what, inputs),)
        return len(self.steps)


def random_network(seed: int) -> tuple[RandomNetwork, tuple[int, int, int]]:
    """A network, in inference mode, and the size of its images.

    All weights, and the statistics of the norms, are drawn: nothing is 0 or 1 by chance of its start.

    Args:
        seed: of everything.
    """
    # Nothing is compiled: the initial weights are replaced anyway.
    model = nnx.eval_shape(lambda: RandomNetwork(seed, nnx.Rngs(0)))
    draw = np.random.default_rng(seed)
    for _, module in nnx.iter_modules(model):
        for name, variable in list(vars(module).items()):
            if isinstance(variable, nnx.Variable):
                values = _drawn(draw, name, variable.shape)
                if name == "kernel" and isinstance(module, Sliced):
                    values = np.where(np.arange(values.shape[-2])[:, None] < np.asarray(module.visible(1)), values, 0)
                setattr(module, name, type(variable)(jnp.asarray(values, jnp.float32)))
    model.eval()
    return model, model.image_size


def _drawn(draw: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name in ("var", "scale"):
        return draw.uniform(0.5, 2, shape)
    if name in ("mean", "bias"):
        return draw.normal(0, 0.3, shape)
    return draw.normal(0, 1, shape) / np.sqrt(np.prod(shape[:-1]))


def images_of(size: tuple[int, int, int], count: int = 6) -> np.ndarray:
    """Seeded images that a network takes."""
    return np.random.default_rng(1).normal(size=(count, *size)).astype(np.float32)


def direct(model: Any, x: np.ndarray, at: Sequence[float]) -> list[jax.Array]:
    """What a network gives at each width, asked for that width."""
    return jax.jit(lambda x: [model(x, width) for width in at])(x)
