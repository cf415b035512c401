"""StableHLO through `jax.export`: a file that any later JAX loads and runs, without this library."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from awn_kernels.target import target_platform
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import network, widths
from awn_jax.export import manifest
from awn_jax.export.checks import ExportError
from awn_jax.export.graph import Graph
from awn_jax.export.lowering import lowered, moments

PLATFORMS = ("cpu", "cuda", "tpu")


@dataclasses.dataclass(frozen=True, eq=False)
class Closed:
    """A network of one width that is not looked into: it may hold any code.

    Attributes:
        model: in inference mode.
        image_size, mean, std: as of a `Graph`.
        at: α.
    """

    model: nnx.Module
    image_size: tuple[int, int, int]
    at: widths.Width
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def width(self) -> float:
        """α, as the number that files say."""
        return float(widths.exact_width(self.at))

    def run(self, x: Float[Array, "B H W P"]) -> Float[Array, "B ..."]:
        """The logits of normalised images, in JAX."""
        # A copy that belongs to the trace that asks, whose state may move.
        model: Any = nnx.merge(*nnx.split(self.model), copy=True)
        return model(x, self.at)


def program(
    model: nnx.Module,
    image_size: Sequence[int],
    width: widths.Width,
    *,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Graph | Closed:
    """What `save` writes of a model: the ordinary network that it is at a width, or, where it holds code that has no ordinary
    form, the model itself.

    Arguments and errors are those of `lowered`, but for `UnknownLayerError`.
    """
    try:
        return lowered(model, image_size, width, mean=mean, std=std)
    except network.UnknownLayerError:
        closed = nnx.clone(model)
        closed.eval()
        # A program for several platforms: none's own kernels.
        closed.set_attributes(implementation=None, raise_if_not_found=False)
        height, breadth, planes = (int(size) for size in image_size)
        return Closed(closed, (height, breadth, planes), width, *moments(mean, std, image_size))


def save(network: Graph | Closed, path: pathlib.Path) -> None:
    """Writes a network with its weights, for any number of images and for CPU, GPU and TPU, and its manifest.

    Args:
        network: of `lowered` or `program`.
        path: of the file.

    Raises:
        ExportError: if the network holds code that does not run with any number of images, or on these platforms.

    Example:
        >>> import tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "net.stablehlo"
        >>> save(lowered(model, (28, 28, 1), 0.5), path)
        >>> jax.export.deserialize(bytearray(path.read_bytes())).call(jnp.zeros((3, 28, 28, 1))).shape
        (3, 10)
    """
    (batch,) = jax.export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, *network.image_size), jnp.float32)
    run = jax.jit(network.run)
    try:
        with target_platform("cpu"):
            content = jax.export.export(run, platforms=PLATFORMS)(images).serialize()
    except Exception as error:
        if isinstance(network, Graph):
            raise
        # A foreign layer may fail in any way.
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ExportError(
            f"the network has no program for any number of images on {', '.join(PLATFORMS)}: {reason}"
        ) from error
    manifest.write(path, "stablehlo", network, bytes(content))
