"""StableHLO through `jax.export`: a file that any later JAX loads and runs, without this library."""

import pathlib

import jax
import jax.numpy as jnp

from awn_jax.export.graph import Graph

PLATFORMS = ("cpu", "cuda", "tpu")


def save(graph: Graph, path: pathlib.Path) -> None:
    """Writes a network with its weights, for any number of images and for CPU, GPU and TPU.

    Example:
        >>> net = jax.export.deserialize(bytearray(path.read_bytes()))
        >>> net.call(jnp.zeros((3, 28, 28, 1))).shape
        (3, 10)
    """
    images = jax.ShapeDtypeStruct((graph.batch, *graph.image_size), jnp.float32)
    exported = jax.export.export(jax.jit(graph.run), platforms=PLATFORMS)(images)
    path.write_bytes(exported.serialize())
