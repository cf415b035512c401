"""The outputs of a whole image set at many widths, from one pass."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import bars, hardware
from awn_jax.data import Examples, Preparation, data_mesh, once_through
from awn_jax.models import AnyWidthNetwork


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
        batch_size: images at a time; None for `data.usual_batch`.
        progress: show a bar.

    Raises:
        ValueError: if `at` is empty or not ascending, or a width is outside (0, 1].
    """
    graphdef, state = nnx.split(model)

    def run(state: Any, images: Array) -> Array:
        model = nnx.merge(graphdef, state, copy=True)
        model.eval()
        return model.outputs_at(preparation.normalised(images), at)

    run = jax.jit(run, compiler_options=hardware.compiler_options())
    found = []
    with bars.bar(shown=progress, total=len(data), desc="outputs", unit="img", leave=False) as bar:
        for batch, counted in once_through(data, data_mesh(), batch_size):
            found.append(np.asarray(run(state, batch["image"]))[:, np.asarray(counted)])
            bar.update(found[-1].shape[1])
    return np.concatenate(found, 1)
