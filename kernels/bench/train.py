"""Trains small networks of triangular convolutions with the automatic choice and with the masked dense reference.

    python -m kernels.bench.train

Both must reach the same loss; the ratio of their steps is what skipping blocks is worth in a whole network.
"""

import dataclasses
import functools
import json
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..api import triangular_conv
from ..backend import Implementation
from ..timing import Call, interleaved, keep_freed_memory
from . import options
from .ending import one_line_errors

CLASSES, STEPS = 10, 10
Weights = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Network:
    """Convolutions with ReLU, then a dense head on the mean over pixels; the first reads the whole image.

    Attributes:
      name: in reports.
      size: pixels along an edge of the image.
      channels: of every convolution.
      layers: (kernel, padding, pooling) of each convolution.
      batch: images.
    """

    name: str
    size: int
    channels: int
    layers: tuple[tuple[int, int, int], ...]
    batch: int

    def init(self) -> Weights:
        """Returns seeded weights, He-scaled to the inputs that an output reads on average."""
        rng = np.random.default_rng(0)
        weights = {}
        for i, (kernel, _, _) in enumerate(self.layers):
            inputs = self.channels if i else 1
            scale = np.sqrt(2 / (kernel * kernel * (inputs + 1) / 2))
            weights[f"conv{i}"] = scale * rng.standard_normal((kernel, kernel, inputs, self.channels))
        weights["head"] = 0.1 * rng.standard_normal((self.channels, CLASSES)) / np.sqrt(self.channels)
        return {name: jnp.asarray(w, jnp.float32) for name, w in weights.items()}

    def data(self) -> tuple[Array, Array]:
        """Returns seeded images, noise over one pattern per class, and their labels."""
        rng = np.random.default_rng(1)
        labels = rng.integers(0, CLASSES, self.batch)
        patterns = rng.standard_normal((CLASSES, self.size, self.size, 1))
        images = patterns[labels] + rng.standard_normal((self.batch, self.size, self.size, 1))
        return jnp.asarray(images, jnp.float32), jnp.asarray(labels)

    def loss(self, weights: Weights, images: Array, labels: Array, implementation: Implementation | None) -> Array:
        """Returns the mean cross-entropy."""
        x = images
        for i, (_, padding, pooling) in enumerate(self.layers):
            visible = tuple(range(1, self.channels + 1)) if i else (1,) * self.channels
            pads = ((padding, padding),) * 2
            x = jax.nn.relu(
                triangular_conv(x, weights[f"conv{i}"], visible, padding=pads, implementation=implementation)
            )
            batch, height, width, channels = x.shape
            x = x.reshape(batch, height // pooling, pooling, width // pooling, pooling, channels).max((2, 4))
        log_probabilities = jax.nn.log_softmax(x.mean((1, 2)) @ weights["head"])
        return -jnp.mean(jnp.take_along_axis(log_probabilities, labels[:, None], axis=1))

    def step(
        self, implementation: Implementation | None, compiler_options: dict[str, str] | None = None
    ) -> Callable[[Weights, Array, Array], tuple[Weights, Array]]:
        """Returns a compiled step of gradient descent: (weights, images, labels) -> (weights, loss)."""

        def update(weights: Weights, images: Array, labels: Array) -> tuple[Weights, Array]:
            loss = functools.partial(self.loss, implementation=implementation)
            value, gradients = jax.value_and_grad(loss)(weights, images, labels)
            return jax.tree.map(lambda w, g: w - 0.02 * g, weights, gradients), value

        return jax.jit(update, compiler_options=compiler_options or {})


LENET = Network("lenet_3c1l, 45 channels", 28, 45, ((3, 0, 1), (3, 0, 2), (5, 0, 2)), batch=64)
WIDE = Network("3 × 3×3, 256 channels", 14, 256, ((3, 1, 1), (3, 1, 1), (3, 1, 1)), batch=16)


def train(network: Network, implementation: Implementation | None, steps: int) -> np.ndarray:
    """Trains on one batch.

    Args:
      network: what to train.
      implementation: of the convolutions, or None for the automatic choice.
      steps: of gradient descent.

    Returns:
      The loss before each step.
    """
    step, weights, losses = network.step(implementation), network.init(), []
    for _ in range(steps):
        weights, loss = step(weights, *network.data())
        losses.append(float(loss))
    return np.asarray(losses)


def main(arguments: list[str] | None = None) -> None:
    """Trains and times both networks both ways; prints a line for each, then JSON."""
    parser = options.make_parser(f"{__package__}.train", __doc__)
    options.add_timing(parser)
    args = parser.parse_args(arguments)
    keep_freed_memory()
    results = []
    for network in (LENET, WIDE):
        names: tuple[Implementation | None, ...] = (None, "reference")
        losses = {name: train(network, name, STEPS)[[0, -1]] for name in names}
        start = (network.init(), *network.data())
        calls = {str(name): Call(network.step(name, options.compiler_options(args)), [start]) for name in names}
        times = interleaved(calls, args.rounds or options.ROUNDS, clock=options.clock(args))
        auto, masked = times["None"], times["reference"]
        results.append(
            {
                "network": network.name,
                "loss": losses[None].tolist(),
                "loss_reference": losses["reference"].tolist(),
                "vs_masked": auto.speed_against(masked),
            }
        )
        print(
            f"{network.name}: loss {losses[None][0]:.4f} → {losses[None][1]:.4f} in {STEPS} steps, reference "
            f"{losses['reference'][1]:.4f}; step {1e3 * auto.median:.0f} ms, {auto.speed_against(masked):.2f}× as fast"
        )
    print(json.dumps(results))


if __name__ == "__main__":
    with one_line_errors():
        main()
