"""From an any-width network to the ordinary network that it is at one width."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from flax import nnx

from awn_jax import network, widths
from awn_jax.export.checks import ExportError
from awn_jax.export.graph import Graph, Step
from awn_jax.export.kinds import check_kind, check_settings, check_shapes
from awn_jax.export.pointwise import FUNCTIONS
from awn_jax.export.rewrites import simplified


def lowered(
    model: nnx.Module,
    image_size: Sequence[int],
    width: widths.Width,
    *,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Graph:
    """The ordinary network that a model is at one width: only that width's weights, batch norms folded into the layers in
    front of them where nothing else reads those.

    Args:
        model: any-width network; its running statistics are used, nothing is dropped, and it is left as it is.
        image_size: height, width and planes.
        width: α, in (0, 1].
        mean: of each plane, to be kept with the network.
        std: likewise.

    Raises:
        ValueError: if `width` is outside (0, 1].
        UnknownLayerError: naming what has no ordinary form.
        ExportError: if a weight is not finite, or the network gives its images back.

    Example:
        >>> graph = lowered(model, (28, 28, 1), 0.5)
        >>> bool(jnp.allclose(graph.run(images), model(images, 0.5), atol=1e-4))
        True
    """
    found = network.read(model, image_size, width)
    found.check_known("an export")
    steps = [_step(node, [found.shape(value) for value in node.inputs], width) for node in found.nodes]
    left = simplified(_named(steps), found.output)
    if not left:
        raise ExportError("the network must do something with its images, it gives them back")
    height, breadth, planes = found.image_size
    at = float(widths.exact_width(width))
    return Graph((height, breadth, planes), tuple(map(_rounded, left)), at, *moments(mean, std, found.image_size))


def moments(
    mean: Sequence[float], std: Sequence[float], image_size: Sequence[int]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each plane.

    Raises:
        ValueError: unless there is one for each plane, or none at all.
    """
    if not len(mean) == len(std) in (0, image_size[-1]):
        raise ValueError(f"mean and std must have one number for each of {image_size[-1]} planes, got {mean}, {std}")
    return tuple(map(float, mean)), tuple(map(float, std))


def _step(node: network.Node, shapes: Sequence[tuple[int, ...]], width: widths.Width) -> Step:
    assert node.op is not None
    name = f"{node.name} ({type(node.op).__name__})"
    try:
        kind, arrays, settings = node.op.ordinary(width, *shapes)
    except NotImplementedError as error:
        why = f": {error}" if str(error) else ""
        raise network.UnknownLayerError(f"an export has no ordinary form of {name}{why}") from None
    if kind == "pointwise" and settings["function"] not in FUNCTIONS:
        raise network.UnknownLayerError(
            f"an export has no form of {settings['function']}; it has {', '.join(FUNCTIONS)}"
        )
    kind = check_kind(kind, len(node.inputs), name)
    settings = check_settings(kind, settings, len(node.inputs), name)
    wanted = check_shapes(kind, {key: array.shape for key, array in arrays.items()}, name)
    return Step(kind, node.inputs, node.name if arrays else "", {key: arrays[key] for key in wanted}, settings)


def _named(steps: Iterable[Step]) -> list[Step]:
    """Steps with names of their own: a layer that is called twice gives two of them."""
    taken: set[str] = {""}
    result = []
    for step in steps:
        name = unlike(step.name, taken) if step.name else ""
        taken.add(name)
        result.append(dataclasses.replace(step, name=name))
    return result


def unlike(name: str, taken: set[str]) -> str:
    """A name that is none of those taken: itself, or with a number behind it."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found


def _rounded(step: Step) -> Step:
    with np.errstate(over="ignore"):
        arrays = {name: np.asarray(array, np.float32) for name, array in step.arrays.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ExportError(f"{step.name}: {name} must be finite, it holds NaN or numbers too large for float32")
    return dataclasses.replace(step, arrays=arrays)
