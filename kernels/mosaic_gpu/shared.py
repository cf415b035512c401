"""Shared memory of the Hopper kernels: buffers seen both as boxes and as matrices, and the ring that fills them."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu
from jax.typing import DTypeLike

from ..backend import UnsupportedError
from ..target import target_platform
from .config import LANE

# References, barriers and traced indices have no public types.
Ref = Any
Index = Any

_interpreting = jax.make_user_context(default_value=False)


@contextlib.contextmanager
def interpret_mode(detect_races: bool = False) -> Iterator[None]:
    """Runs the kernels on the CPU inside a `with` block; needs JAX 0.12 or newer.

    Args:
      detect_races: whether to look for unordered accesses to shared memory; then ask
        `jax.experimental.pallas.mosaic_gpu` what it found.

    Yields:
      Nothing.

    Raises:
      UnsupportedError: if this JAX cannot do it.
    """
    newer: Any = plgpu
    if not hasattr(newer, "InterpretGPUParams"):
        raise UnsupportedError(f"interpreting GPU kernels needs JAX 0.12 or newer, this is {jax.__version__}")
    params = newer.InterpretGPUParams(detect_races=detect_races)
    with target_platform("gpu"), _interpreting(True), newer.force_gpu_interpret_mode(params):
        yield


def interpreting() -> bool:
    """Whether kernels are being interpreted on the CPU."""
    return bool(_interpreting.value)


def matrix_transforms(dtype: DTypeLike) -> tuple[Any, ...]:
    """Returns the layout that `wgmma` reads: tiles of 8 rows of 128 bytes, swizzled."""
    return plgpu.TilingTransform((8, 128 // jnp.dtype(dtype).itemsize)), plgpu.SwizzleTransform(128)


def unravel(i: Index, grid: tuple[int, int, int]) -> tuple[Index, Index, Index]:
    """Returns the place of the i-th box in a grid of boxes, the last direction fastest."""
    plane, width = jnp.int32(grid[1] * grid[2]), jnp.int32(grid[2])
    rest = lax.rem(i, plane)
    return lax.div(i, plane), lax.div(rest, width), lax.rem(rest, width)


class BoxBuffer:
    """Slots that the copy engine sees as boxes of an image and `wgmma` as matrices [pixels, 64 channels].

    The copy engine writes a box row by row, 128 bytes each, swizzled by address. That is byte for byte the layout that
    `wgmma` wants of the flattened box, so both views share their memory. Describing the copy by the matrix layout
    instead would tile the image by 8 columns, which shifted boxes cannot obey. Interpret mode keeps the two views
    apart, so there each reader copies a slot before it reads it.
    """

    def __init__(self, slots: tuple[int, ...], box: tuple[int, int, int], dtype: DTypeLike) -> None:
        """Describes `slots` buffers of one box each."""
        self.slots, self.shape, self.dtype = slots, (*box, LANE), dtype
        self.pixels = math.prod(box)

    def scratch(self) -> Any:
        """Returns the allocation to ask of the kernel."""
        matrix = (self.pixels, LANE)
        if interpreting():
            return plgpu.SMEM((*self.slots, *self.shape), self.dtype), plgpu.SMEM((2, *matrix), self.dtype)
        return plgpu.RefUnion(
            plgpu.SMEM((*self.slots, *self.shape), self.dtype, transforms=(plgpu.SwizzleTransform(128),)),
            plgpu.SMEM((*self.slots, *matrix), self.dtype, transforms=matrix_transforms(self.dtype)),
        )

    def box(self, allocation: Any, *slot: Index) -> Ref:
        """Returns the slot as the copy engine sees it, [images, rows, columns, 64]."""
        return allocation[0].at[slot]

    def matrix(self, allocation: Any, *slot: Index, reader: Index) -> Ref:
        """Returns the slot as `wgmma` sees it, [pixels, 64]; `reader` is the warpgroup that asks."""
        if interpreting():
            allocation[1][reader] = allocation[0][slot].reshape(self.pixels, LANE)
            plgpu.commit_smem()
            return allocation[1].at[reader]
        return allocation[1].at[slot]

    def store(self, allocation: Any, value: jax.Array, *slot: Index) -> None:
        """Writes a matrix from registers into the slot."""
        if interpreting():
            allocation[0][slot] = value.reshape(self.shape)
        else:
            allocation[1][slot] = value


class Ring(NamedTuple):
    """Slots of shared memory that one producer fills and consumers empty, in step with each other.

    Steps are counted over the whole life of a block, so that the producer runs ahead into the next tile while the
    consumers still store the last one.

    Attributes:
      full: one barrier per slot; completes when all copies of a step have landed.
      empty: one barrier per slot; completes when all consumers are done with it.
      stages: number of slots.
    """

    full: Ref
    empty: Ref
    stages: int

    def acquire(self, step: Index) -> Index:
        """Producer: waits until the slot of this step is free and returns it."""
        slot = self.slot(step)

        @pl.when(step >= self.stages)
        def _reused() -> None:
            plgpu.barrier_wait(self.empty.at[slot])

        return slot

    def consume(self, step: Index) -> Index:
        """Consumer: waits until the slot of this step is filled and returns it."""
        slot = self.slot(step)
        plgpu.barrier_wait(self.full.at[slot])
        return slot

    def release(self, step: Index) -> None:
        """Consumer: hands back the slot of this step."""
        plgpu.barrier_arrive(self.empty.at[self.slot(step)])

    def drain(self, steps: Index) -> None:
        """Producer: waits for the last hand-backs, so that every barrier ends in a known state."""

        def wait(step: Index, _: None) -> None:
            plgpu.barrier_wait(self.empty.at[self.slot(step)])

        lax.fori_loop(lax.max(steps - self.stages, 0), steps, wait, None)

    def slot(self, step: Index) -> Index:
        """Returns where a step lives."""
        return lax.rem(step, jnp.int32(self.stages))
