"""The forward pass that computes only what a wider network adds to a narrower one.

The model's own `features` run, with layers in it that give new channels alone: what is between the layers, such as ReLU,
pooling or a residual sum, acts on each channel by itself. A triangular layer needs the old channels of its input too, and
remembers them.

Dimensions: B batch, H height, W width, P planes.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers.triangular import Triangular
from awn_jax.models import AnyWidthClassifier
from awn_jax.rewire import with_layers

Inputs = tuple[Array | None, ...]


def forward(
    model: AnyWidthClassifier,
    images: Float[Array, "B H W P"],
    width: widths.Width,
    after: widths.Width | None = None,
    inputs: Inputs = (),
    logits: Float[Array, "B classes"] | None = None,
) -> tuple[Float[Array, "B classes"], Inputs]:
    """The logits at a width, and what is needed to go on from there.

    Args:
        model: in inference mode.
        images: the same at every width.
        width: α to go to; static.
        after: α that `inputs` and `logits` belong to; None computes everything.
        inputs: of each triangular layer, in the order of their calls; None in place of the images.
        logits: at the width `after`.

    Raises:
        TypeError: if a layer with weights cannot compute new channels alone.
    """
    calls = _Calls(images, width, after, inputs)
    features = with_layers(model, calls.replacement).features(images, width)
    if after is None or logits is None:
        return model.head(features, width), tuple(calls.seen)
    return logits + model.head.rows(features, width, after), tuple(calls.seen)


class _Calls:
    """The calls of one pass: what the layers of the pass before have seen, and what those of this one see."""

    def __init__(self, images: Array, width: widths.Width, after: widths.Width | None, old: Inputs):
        self.images, self.width, self.after = images, width, after
        self.old, self.seen = iter(old), list[Array | None]()

    def replacement(self, name: str, layer: nnx.Module) -> Any:
        if isinstance(layer, Triangular):
            return lambda x, width=1: self.triangular(layer, x)
        if self.after is None:
            return None
        if hasattr(layer, "rows"):
            return lambda x, width=1: layer.rows(x, self.width, self.after)
        if any(isinstance(value, nnx.Variable) for value in vars(layer).values()):
            raise TypeError(
                f"{name} ({type(layer).__name__}) has weights and no method rows(x, width, after), which computes the "
                "channels between two widths: the network can be started at a width, but not widened"
            )
        return None

    def triangular(self, layer: Triangular, x: Array) -> Array:
        old = next(self.old) if self.after is not None else None
        # The images, and what the model makes of them before its first layer, come whole at every width.
        if old is not None and x.shape[-1] != layer.inputs.active(self.width):
            x = jnp.concatenate([old, x], -1)
        self.seen.append(None if x is self.images else x)
        if self.after is None:
            return layer(x, self.width)
        if layer.outputs.active(self.after) == layer.outputs.active(self.width):
            like = jax.eval_shape(lambda x: layer(x, self.width), x)
            return jnp.zeros((*like.shape[:-1], 0), like.dtype)
        return layer.rows(x, self.width, self.after)
