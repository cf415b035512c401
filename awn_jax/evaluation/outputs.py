"""The outputs of a whole image set at many widths, from one pass."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import bars, hardware
from awn_jax.data import Examples, Preparation, data_mesh, once_through, usual_batch
from awn_jax.models import AnyWidthNetwork

# The most numbers of outputs that are held for people to look at: 256 MiB in float32; and in one program.
HELD, NUMBERS = 1 << 26, 1 << 25


def output_size(model: AnyWidthNetwork, image_size: tuple[int, int, int]) -> int:
    """How many numbers a network gives for an image at one width."""
    like = jax.ShapeDtypeStruct((1, *image_size), jnp.float32)
    return math.prod(nnx.eval_shape(lambda model, x: model(x, 1), model, like).shape)


def affordable(model: AnyWidthNetwork, data: Examples, count: int) -> Examples:
    """The first images whose outputs at so many widths take at most `HELD` numbers; as a rule all."""
    return data.take(max(1, HELD // (count * output_size(model, data.image_size))))


def outputs_at(
    model: AnyWidthNetwork,
    data: Examples,
    preparation: Preparation,
    at: Sequence[float],
    *,
    batch_size: int | None = None,
    progress: bool = True,
) -> Float[np.ndarray, "N images ..."]:
    """The outputs of every image at N ascending widths.

    Args:
        model: it is run in inference mode, and left as it is.
        data: images.
        preparation: normalisation.
        at: N ascending widths.
        batch_size: images at a time, or fewer if their outputs are many; None for `data.usual_batch`.
        progress: show a bar.

    Raises:
        ValueError: if `at` is empty or not ascending, or a width is outside (0, 1].
    """
    graphdef, state = nnx.split(model)

    def run(state: Any, images: Array) -> Array:
        model = nnx.merge(graphdef, state, copy=True)
        model.eval()
        return model.outputs_at(preparation.normalised(images), at)

    most = max(1, NUMBERS // (len(at) * output_size(model, data.image_size)))
    batch_size = min(most, usual_batch(data.image_size) if batch_size is None else batch_size)
    run = jax.jit(run, compiler_options=hardware.compiler_options())
    found = []
    with bars.bar(shown=progress, total=len(data), desc="outputs", unit="img", leave=False) as bar:
        for batch, counted in once_through(data, data_mesh(), batch_size):
            found.append(np.asarray(run(state, batch["image"]))[:, np.asarray(counted)])
            bar.update(found[-1].shape[1])
    return np.concatenate(found, 1)
