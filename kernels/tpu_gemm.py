"""The two TPU kernels: implicit GEMM over the blocks of weights that exist, and its weight gradient.

Arrays are laid out [phase, row, column, image, channel]. Channels fill the 128 lanes and images the sublanes, so that
a kernel tap, which moves a window by whole rows and columns, is an offset into untiled dimensions: it costs nothing,
at any offset. A phase holds the pixels of one residue of the strides, so every tap reads consecutive pixels of one
phase.

Which blocks of weights to visit is a list that the scalar core prefetches: the grid has one step per entry, and a
block that is not in the list costs no time and no copy.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from .config import TpuConfig
from .tpu_layout import Taps

VMEM_LIMIT = 64 * 2**20  # of 128 MiB on v5e and v6e; XLA keeps the rest


class Blocks(NamedTuple):
    """The blocks of weights to visit, in order.

    Attributes:
      inputs: index of each one's tile of input channels.
      outputs: index of each one's tile of output channels.
    """

    inputs: np.ndarray
    outputs: np.ndarray


def gemm(x: Array, w: Array, blocks: Blocks, taps: Taps, config: TpuConfig) -> Array:
    """Convolves, visiting only the given blocks of weights.

    Args:
      x: [sh·sw, rows + reach, columns + reach, B, C] phases of the padded input.
      w: [kh, kw, C, K] weights.
      blocks: the blocks to visit, grouped by output tile; every output tile has at least one.
      taps: the kernel's taps.
      config: tile sizes; rows, images and channels are multiples of them or fit in one.

    Returns:
      [rows, columns, B, K].
    """
    phases, height, width, batch, in_channels = x.shape
    kh, kw, _, out_channels = w.shape
    down, across = taps.reach
    rows, columns = height - down, width - across
    tile_in, tile_out = min(config.channels, in_channels), min(config.channels, out_channels)
    y_block = (config.rows, columns, config.batch, tile_out)
    window = _elements(phases, config.rows + down, width, config.batch, tile_in)
    return pl.pallas_call(
        functools.partial(_gemm_kernel, taps),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=(batch // config.batch, rows // config.rows, len(blocks.inputs)),
            in_specs=[
                pl.BlockSpec(
                    window,
                    lambda b, r, n, i, o: (0, r * config.rows, 0, b * config.batch, _first(i[n], tile_in, in_channels)),
                ),
                pl.BlockSpec((kh, kw, tile_in, tile_out), lambda b, r, n, i, o: (0, 0, i[n], o[n])),
            ],
            out_specs=pl.BlockSpec(y_block, lambda b, r, n, i, o: (r, 0, b, o[n])),
            scratch_shapes=[pltpu.VMEM(y_block, jnp.float32)],
        ),
        out_shape=jax.ShapeDtypeStruct((rows, columns, batch, out_channels), x.dtype),
        compiler_params=_params("parallel", "parallel", "arbitrary"),
        name="triangular_gemm",
    )(*blocks, x, w)


def _gemm_kernel(taps: Taps, inputs, outputs, x_ref, w_ref, y_ref, accumulator):  # type: ignore[no-untyped-def]
    del inputs
    step, last = pl.program_id(2), pl.num_programs(2) - 1
    rows, columns, batch, channels = y_ref.shape

    @pl.when((step == 0) | (outputs[step] != outputs[jnp.maximum(step - 1, 0)]))
    def _() -> None:
        accumulator[...] = jnp.zeros_like(accumulator)

    def add_row(row: Array, _: None) -> None:
        total = jnp.zeros((columns * batch, channels), jnp.float32)
        for p, q, pixels in _windows(x_ref, taps, row, columns):
            total += _dot(pixels, w_ref[p, q], 1, 0)
        accumulator[row] += total.reshape(columns, batch, channels)

    lax.fori_loop(0, rows, add_row, None)

    @pl.when((step == last) | (outputs[step] != outputs[jnp.minimum(step + 1, last)]))
    def _() -> None:
        y_ref[...] = accumulator[...].astype(y_ref.dtype)


def gemm_weight_gradient(x: Array, dy: Array, blocks: Blocks, taps: Taps, config: TpuConfig) -> Array:
    """Correlates x with dy, for the given blocks of weights only.

    Args:
      x: [sh·sw, rows + reach, columns + reach, B, C] phases of the padded input.
      dy: [rows, columns, B, K].
      blocks: the blocks to visit.
      taps: the kernel's taps.
      config: tile sizes; rows, images and channels are multiples of them or fit in one.

    Returns:
      [kh, kw, C, K] in float32; blocks that were not visited hold whatever the memory held.
    """
    phases, _, width, batch, in_channels = x.shape
    rows, columns, _, out_channels = dy.shape
    down, _ = taps.reach
    tile_in, tile_out = min(config.channels, in_channels), min(config.channels, out_channels)
    window = _elements(phases, config.rows + down, width, config.batch, tile_in)
    return pl.pallas_call(
        functools.partial(_weight_gradient_kernel, taps),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=(len(blocks.inputs), batch // config.batch, rows // config.rows),
            in_specs=[
                pl.BlockSpec(
                    window,
                    lambda n, b, r, i, o: (0, r * config.rows, 0, b * config.batch, _first(i[n], tile_in, in_channels)),
                ),
                pl.BlockSpec((config.rows, columns, config.batch, tile_out), lambda n, b, r, i, o: (r, 0, b, o[n])),
            ],
            out_specs=pl.BlockSpec((*taps.size, tile_in, tile_out), lambda n, b, r, i, o: (0, 0, i[n], o[n])),
        ),
        out_shape=jax.ShapeDtypeStruct((*taps.size, in_channels, out_channels), jnp.float32),
        compiler_params=_params("parallel", "arbitrary", "arbitrary"),
        name="triangular_weight_gradient",
    )(*blocks, x, dy)


def _weight_gradient_kernel(taps: Taps, inputs, outputs, x_ref, dy_ref, dw_ref):  # type: ignore[no-untyped-def]
    del inputs, outputs
    rows, columns, batch, channels = dy_ref.shape

    @pl.when((pl.program_id(1) == 0) & (pl.program_id(2) == 0))
    def _() -> None:
        dw_ref[...] = jnp.zeros_like(dw_ref)

    def add_row(row: Array, _: None) -> None:
        gradients = dy_ref[row].reshape(columns * batch, channels)
        for p, q, pixels in _windows(x_ref, taps, row, columns):
            dw_ref[p, q] += _dot(pixels, gradients, 0, 0)

    lax.fori_loop(0, rows, add_row, None)


def _windows(x_ref, taps: Taps, row: Array, columns: int):  # type: ignore[no-untyped-def]
    """Yields, for each tap, the [columns · images, channels] pixels that it reads for one row of outputs."""
    batch, channels = x_ref.shape[3:]
    for p in range(taps.size[0]):
        for q in range(taps.size[1]):
            phase, down, across = taps(p, q)
            pixels = x_ref[phase, row + down, across : across + columns]
            yield p, q, pixels.reshape(columns * batch, channels)


def _dot(a: Array, b: Array, a_axis: int, b_axis: int) -> Array:
    return lax.dot_general(a, b, (((a_axis,), (b_axis,)), ((), ())), preferred_element_type=jnp.float32)


def _elements(*sizes: int) -> tuple[pl.Element, ...]:
    # Blocks that start at any element, so that neighbours overlap by the rows that a window reaches beyond its block.
    return tuple(pl.Element(size) for size in sizes)


def _first(index: Array, tile: int, channels: int) -> Array | int:
    # Mosaic must see that a start in the lanes is a multiple of 128; narrower axes are whole.
    return 0 if tile == channels else index * tile


def _params(*semantics: Literal["parallel", "arbitrary"]) -> pltpu.CompilerParams:
    return pltpu.CompilerParams(dimension_semantics=semantics, vmem_limit_bytes=VMEM_LIMIT)
