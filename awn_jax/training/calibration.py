"""Statistics for networks whose narrow parts are not prefixes of the wide one: recomputed after training, width by width.

Dimensions: B batch, H height, W width in pixels, C channels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Num

from awn_jax import inspection, platform
from awn_jax.data import ImageSet, Preparation, once_through, replicate
from awn_jax.layers import CalibratedBatchNorm
from awn_jax.models import AnyWidthClassifier
from awn_jax.rewire import watched

Moments = tuple[Float[Array, " C"], Float[Array, " C"]]


def norms(model: nnx.Module) -> list[CalibratedBatchNorm]:
    """The layers of a model that need calibration."""
    return [module for _, module in nnx.iter_modules(model) if isinstance(module, CalibratedBatchNorm)]


def calibrated(model: nnx.Module) -> bool:
    """Whether no layer lacks statistics; true for a model that needs none."""
    return all(bool(norm.known[...].any()) for norm in norms(model))


def known(model: nnx.Module, width: float) -> bool:
    """Whether every layer has statistics of its own for the sub-network at a width."""
    return all(bool(norm.known[norm.network(width)]) for norm in norms(model))


def keep_only(model: nnx.Module, at: Sequence[float]) -> None:
    """Forgets all statistics but those at the given widths, in place; see `CalibratedBatchNorm.only`.

    Raises:
        ValueError: if width 1 is not among them: no larger one could stand in for it.
    """
    if 1 not in at:
        raise ValueError(f"calibrated widths must hold 1, got {tuple(at)}")
    for norm in norms(model):
        norm.only(at)


def calibrate(
    model: AnyWidthClassifier,
    data: ImageSet,
    preparation: Preparation,
    mesh: Mesh,
    at: Sequence[float],
    *,
    batch_size: int = 1000,
    progress: bool = True,
) -> None:
    """Sets the statistics of every `CalibratedBatchNorm` at the given widths, in place.

    They are those of one pass over all the images in a single batch, whatever `batch_size` is: layer after layer, each with
    the layers before it already calibrated, and moments of batches joined in double precision.

    Args:
        model: it is put into inference mode.
        data: images to calibrate with, as a rule those of training.
        preparation: normalisation; nothing is augmented.
        mesh: devices; each batch is split over them.
        at: widths.
        batch_size: rounded up to a multiple of the devices.
        progress: show a bar on a terminal.

    Raises:
        ValueError: if a width is outside (0, 1].

    Source: Universally Slimmable Networks (Yu & Huang, 2019), section 3.3.
    """
    model.eval()
    layers = _in_order(model, data.images.shape[1:])
    bar = tqdm.tqdm(total=len(at) * len(layers), desc="calibrating", leave=False, disable=None if progress else True)
    for width in at:
        for name, norm in layers.items():
            graphdef, state = nnx.split(model)
            moments = _make_moments(graphdef, preparation, width, name)
            state = replicate(state, mesh)
            parts = []
            for images, _, counted in once_through(data, mesh, batch_size):
                mean, var = (np.asarray(value, np.float64) for value in moments(state, images, counted))
                parts.append((int(counted.sum()), mean, var))
            norm.calibrate(width, *(jnp.asarray(value, norm.mean.dtype) for value in _joined(parts)))
            bar.update()
    bar.close()


def _in_order(model: AnyWidthClassifier, image_size: tuple[int, ...]) -> dict[str, CalibratedBatchNorm]:
    """The layers to calibrate by dotted name, in the order in which they are called."""
    names: list[str] = []

    def trace(model: nnx.Module, x: Array) -> None:
        names.extend(c.name for c in inspection.layer_calls(model, x) if isinstance(c.layer, CalibratedBatchNorm))

    nnx.eval_shape(trace, model, jax.ShapeDtypeStruct((1, *image_size), jnp.float32))
    modules: Any = nnx.iter_modules(model)
    by_name = {".".join(map(str, path)): module for path, module in modules}
    return {name: by_name[name] for name in names}


def _make_moments(graphdef: Any, preparation: Preparation, width: float, name: str) -> Callable[..., Moments]:
    """Compiles `(state, images, counted) -> moments` of what the named layer reads; what comes after it is not computed."""

    def moments(state: Any, images: Num[Array, "B H W P"], counted: Bool[Array, " B"]) -> Moments:
        found: list[Moments] = []
        model = watched(nnx.merge(graphdef, state), name, lambda x: found.append(_moments(x, counted)))
        model(preparation.normalised(images), width)
        return found[0]

    return jax.jit(moments, compiler_options=platform.compiler_options())


def _moments(x: Float[Array, "B H W C"], counted: Bool[Array, " B"]) -> Moments:
    """Mean and biased variance of each channel over the images that count."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    weights = counted[:, None, None, None] / (counted.sum() * x.shape[1] * x.shape[2])
    mean = (weights * x).sum((0, 1, 2))
    return mean, (weights * jnp.square(x - mean)).sum((0, 1, 2))


def _joined(parts: list[tuple[int, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The moments of all images from those of batches of `count` images each."""
    counts, means, variances = (np.stack(values) for values in zip(*parts, strict=True))
    shares = (counts / counts.sum())[:, None]
    mean = (shares * means).sum(0)
    return mean, (shares * (variances + np.square(means - mean))).sum(0)
