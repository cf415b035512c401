"""The logits of a whole image set at many widths, from one pass."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import tqdm
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import platform
from awn_jax.data import ImageSet, Preparation
from awn_jax.models import AnyWidthClassifier


def logits_at(
    model: AnyWidthClassifier,
    data: ImageSet,
    preparation: Preparation,
    at: Sequence[float],
    *,
    batch_size: int = 1000,
    progress: bool = True,
) -> Float[np.ndarray, "N images classes"]:
    """The logits of every image at N ascending widths.

    Args:
        model: it is run in inference mode, and left as it is.
        data: images.
        preparation: normalisation.
        at: N ascending widths.
        batch_size: images at a time.
        progress: show a bar on a terminal.

    Raises:
        ValueError: if `at` is empty or not ascending, or a width is outside (0, 1].
    """
    graphdef, state = nnx.split(model)

    def run(state: Any, images: Array) -> Array:
        model = nnx.merge(graphdef, state)
        model.eval()
        return model.logits_at(preparation.normalised(images), at)

    run = jax.jit(run, compiler_options=platform.compiler_options())
    batch_size = min(batch_size, len(data))
    starts = tqdm.trange(0, len(data), batch_size, desc="logits", leave=False, disable=None if progress else True)
    # The last batch is filled up, so that one program serves all.
    rows = np.arange(-(-len(data) // batch_size) * batch_size) % len(data)
    found = [np.asarray(run(state, data.images[rows[start : start + batch_size]])) for start in starts]
    return np.concatenate(found, 1)[:, : len(data)]
