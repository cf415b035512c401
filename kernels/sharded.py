"""Kernels on a mesh of devices: each computes the products of its own images.

XLA splits its own convolutions over the axes of a mesh that are left to it (`AxisType.Auto`); into a Pallas kernel it cannot
look. What it cannot split is split here, by `jax.shard_map`: every device has all of the weights and a part of the images, and
what it adds to the weight gradient is summed over all of them. The mesh is read off the types of the arrays, where JAX keeps
it also while it traces a program.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import AbstractMesh, AxisType, PartitionSpec

from .backend import Products
from .staircase import Visible

WHOLE = PartitionSpec()


@functools.cache
def over_devices(products: Products, *, xla: bool) -> Products:
    """Makes the products of one device those of all devices of the mesh that their operands are on.

    Args:
      products: for operands that are on one device.
      xla: whether they are made of XLA's own operations, which it splits itself over axes that are left to it.

    Returns:
      The same for any: each device computes that of its share of the images, or of all images where shares would be uneven.
      Operands that are a device's own already, inside of a `jax.shard_map`, are used as they are.
    """
    ours = frozenset({AxisType.Explicit} if xla else {AxisType.Explicit, AxisType.Auto})

    def forward(x: Array, w: Array, visible: Visible, **options: Any) -> Array:
        return _split(lambda x, w: products.forward(x, w, visible, **options), x, w, ours)

    def input_gradient(dy: Array, w: Array, visible: Visible, *, x_shape: tuple[int, ...], **options: Any) -> Array:
        def share(dy: Array, w: Array) -> Array:
            return products.input_gradient(dy, w, visible, x_shape=(len(dy), *x_shape[1:]), **options)

        return _split(share, dy, w, ours)

    def weight_gradient(x: Array, dy: Array, visible: Visible, **options: Any) -> Array:
        return _split(lambda x, dy: products.weight_gradient(x, dy, visible, **options), x, dy, ours, summed=True)

    return Products(forward, input_gradient, weight_gradient)


def _split(
    share: Callable[[Array, Array], Array],
    images: Array,
    other: Array,
    ours: frozenset[AxisType],
    *,
    summed: bool = False,
) -> Array:
    """Runs `share` on each device along axes of `ours`, on images and weights, or (`summed`) on two arrays of images."""
    mesh = _mesh(images, other)
    kinds = {name: kind for name, kind in zip(mesh.axis_names, mesh.axis_types, strict=True) if kind in ours}
    if not kinds:
        return share(images, other)
    axes = _batch_axes(images, mesh, kinds)
    split = PartitionSpec(axes)

    def run(images: Array, other: Array) -> Array:
        result = share(images, other)
        return _sum(result, axes) if summed and axes else result

    return jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(split, split if summed else WHOLE),
        out_specs=WHOLE if summed else split,
        axis_names=set(kinds),
        check_vma=False,  # kernels do not say over which axes their results vary
    )(images, other)


def _sum(part: Array, axes: tuple[str, ...]) -> Array:
    """The sum of an array over devices, in float32 at least, rounded once."""
    wide = part.astype(jnp.float32) if part.dtype.itemsize < 4 else part
    return lax.psum(wide, axes).astype(part.dtype)


def _mesh(*arrays: Array) -> AbstractMesh:
    meshes = [jax.typeof(array).sharding.mesh for array in arrays]
    return next((mesh for mesh in meshes if not mesh.empty), jax.sharding.get_abstract_mesh())


def _batch_axes(images: Array, mesh: AbstractMesh, kinds: Mapping[str, AxisType]) -> tuple[str, ...]:
    """Which axes of the mesh to split images over: those that their type says, and of those left to XLA what divides them."""
    said = jax.typeof(images).sharding.spec[0]
    axes = (said,) if isinstance(said, str) else tuple(said or ())
    for name, kind in kinds.items():
        more = (*axes, name)
        if kind == AxisType.Auto and len(images) % math.prod(mesh.shape[axis] for axis in more) == 0:
            axes = more
    return axes
