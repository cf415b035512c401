"""Batch-norm statistics computed after training: of networks whose narrow parts are not prefixes of the wide one, width by
width; and of networks whose weights are an average, which no batch has gone through.

Dimensions: B batch, H height, W width in pixels, P planes, C channels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Num

from awn_jax import bars, hardware, widths
from awn_jax.data import Examples, Preparation, once_through, replicate
from awn_jax.layers import CalibratedBatchNorm, Norm, Op
from awn_jax.layers.functional import sum_type
from awn_jax.layers.op import observing
from awn_jax.models import AnyWidthNetwork, axes
from awn_jax.network import read
from awn_jax.network.calls import names as module_names

T = TypeVar("T", bound=Norm)
Moments = tuple[Float[Array, " C"], Float[Array, " C"]]


def norms(model: nnx.Module) -> list[CalibratedBatchNorm]:
    """The layers of a model that need calibration."""
    return [module for _, module in nnx.iter_modules(model) if isinstance(module, CalibratedBatchNorm)]


def calibrated(model: nnx.Module) -> bool:
    """Whether no layer lacks statistics; true for a model that needs none."""
    return all(bool(norm.known[...].all()) for norm in norms(model))


def calibrate(
    model: AnyWidthNetwork,
    data: Examples,
    preparation: Preparation,
    mesh: Mesh,
    at: Sequence[float],
    *,
    exact: bool = True,
    batch_size: int | None = None,
    progress: bool = True,
) -> None:
    """Gives every `CalibratedBatchNorm` statistics for the given widths and no others, in place.

    Exact ones are those of one pass over all the images in a single batch, whatever `batch_size` is: layer after layer, each
    with the layers before it already calibrated. Otherwise one pass over the images for each width serves all layers: each
    batch is normalised by its own statistics meanwhile, as in training, and the moments of the batches are joined. Moments are
    joined in double precision.

    Args:
        model: it is put into inference mode.
        data: images to calibrate with, as a rule those of training.
        preparation: normalisation; nothing is augmented.
        mesh: devices; each batch is split over them.
        at: widths, 1 among them.
        exact: one layer after the other.
        batch_size: rounded up to a multiple of the devices; None for `data.usual_batch`.
        progress: show a bar.

    Raises:
        ValueError: if a width is outside (0, 1], or 1 is not among them: no larger one could stand in for it.

    Source: Universally Slimmable Networks (Yu & Huang, 2019), section 3.3.
    """
    at = sorted({float(widths.exact_width(width)) for width in at})
    if not at or at[-1] != 1:
        raise ValueError(f"calibrated widths must hold 1, got {tuple(at)}")
    until = widths.last_of(axes(model), at)
    # Two widths of one sub-network need statistics once.
    first = dict(reversed(list(zip(until, at, strict=True))))
    for norm in norms(model):
        norm.forget(sorted(first))
    order = _in_order(model, data.image_size, CalibratedBatchNorm)
    rounds = [[name] for name in order] if exact else [list(order)]
    bar = bars.bar(shown=progress, total=len(first) * len(rounds), desc="calibrating", leave=False)
    for width in sorted(first.values()):
        for names in rounds:
            chosen = {name: order[name] for name in names}
            _calibrate(model, data, preparation, mesh, width, chosen, exact=exact, batch_size=batch_size)
            bar.update()
    bar.close()


def recompute(
    model: AnyWidthNetwork,
    data: Examples,
    preparation: Preparation,
    mesh: Mesh,
    at: Sequence[float],
    *,
    batch_size: int | None = None,
) -> None:
    """Gives the norms of a network the statistics that its weights have on the given images, in place.

    One pass for each width serves all layers, as `calibrate` without `exact` does it.

    Args:
        model: it is put into inference mode.
        data: images, as a rule those of training.
        preparation: normalisation; nothing is augmented.
        mesh: devices; each batch is split over them.
        at: widths whose norms, or whose channels of norms that all widths share, get statistics; 1 alone where narrow networks
            are prefixes of the wide one.
        batch_size: rounded up to a multiple of the devices; None for `data.usual_batch`.

    Source: Averaging Weights Leads to Wider Optima (Izmailov et al., 2018), section 3.2.
    """
    order = _in_order(model, data.image_size, Norm)
    for width in sorted(at):
        _calibrate(model, data, preparation, mesh, width, order, exact=False, batch_size=batch_size)


def _calibrate(
    model: AnyWidthNetwork,
    data: Examples,
    preparation: Preparation,
    mesh: Mesh,
    width: float,
    chosen: Mapping[str, Norm],
    *,
    exact: bool,
    batch_size: int | None,
) -> None:
    """Gives some norms, by name, the statistics of a width; they normalise by those that they have (`exact`) or by the batch's
    own meanwhile."""
    model.eval()
    if not exact:
        for norm in chosen.values():
            norm.set_attributes(use_running_average=False)
    graphdef, state = nnx.split(model)
    moments = _make_moments(graphdef, preparation, width, list(chosen))
    state = replicate(state, mesh)
    parts = []
    for batch, counted in once_through(data, mesh, batch_size):
        found = jax.device_get(moments(state, batch["image"], counted))
        parts.append((int(counted.sum()), found))
    for name, norm in chosen.items():
        mean, var = _joined([(count, *found[name]) for count, found in parts])
        norm.calibrate(width, jnp.asarray(mean), jnp.asarray(var))
    model.eval()


def _in_order(model: AnyWidthNetwork, image_size: Sequence[int], kind: type[T]) -> dict[str, T]:
    """The norms of a kind by dotted name, in the order in which they are called."""
    return {node.name: node.op for node in read(model, image_size).nodes if isinstance(node.op, kind)}


def _make_moments(
    graphdef: Any, preparation: Preparation, width: float, names: Sequence[str]
) -> Callable[..., dict[str, Moments]]:
    """Compiles `(state, images, counted) -> moments` of what the named layers read; what comes after is not computed."""

    def moments(state: Any, images: Num[Array, "B H W P"], counted: Bool[Array, " B"]) -> dict[str, Moments]:
        model = nnx.merge(graphdef, state, copy=True)
        paths = module_names(model)
        found: dict[str, Moments] = {}

        def observer(op: Op, inputs: tuple[Array, ...], at: widths.AnyWidth, compute: Callable[[], Array]) -> Array:
            name = paths.get(id(op))
            if name in names:
                found[str(name)] = _moments(inputs[0], counted)
            return compute()

        with observing(observer):
            model(preparation.normalised(images), width)
        return found

    return jax.jit(moments, compiler_options=hardware.compiler_options())


def _moments(x: Float[Array, "B ... C"], counted: Bool[Array, " B"]) -> Moments:
    """Mean and biased variance of each channel over the images that count."""
    x = x.astype(sum_type(x.dtype)).reshape(x.shape[0], -1, x.shape[-1])
    weights = counted[:, None, None].astype(x.dtype) / (counted.sum() * x.shape[1]).astype(x.dtype)
    mean = (weights * x).sum((0, 1))
    return mean, (weights * jnp.square(x - mean[None, None])).sum((0, 1))


def _joined(parts: list[tuple[int, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The moments of all images from those of batches of `count` images each."""
    counts, means, variances = (np.stack(values).astype(np.float64) for values in zip(*parts, strict=True))
    shares = (counts / counts.sum())[:, None]
    mean = (shares * means).sum(0)
    return mean, (shares * (variances + np.square(means - mean))).sum(0)
