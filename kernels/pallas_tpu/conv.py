"""The TPU kernel of the forward product and of the input gradient: implicit GEMM over the blocks that exist."""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from .config import TpuConfig
from .tiles import Blocks, Taps, dot, elements, first, params, windows


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
    window = elements(phases, config.rows + down, width, config.batch, tile_in)
    return pl.pallas_call(
        functools.partial(_gemm_kernel, taps),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=(batch // config.batch, rows // config.rows, len(blocks.inputs)),
            in_specs=[
                pl.BlockSpec(
                    window,
                    lambda b, r, n, i, o: (0, r * config.rows, 0, b * config.batch, first(i[n], tile_in, in_channels)),
                ),
                pl.BlockSpec((kh, kw, tile_in, tile_out), lambda b, r, n, i, o: (0, 0, i[n], o[n])),
            ],
            out_specs=pl.BlockSpec(y_block, lambda b, r, n, i, o: (r, 0, b, o[n])),
            scratch_shapes=[pltpu.VMEM(y_block, jnp.float32)],
        ),
        out_shape=jax.ShapeDtypeStruct((rows, columns, batch, out_channels), x.dtype),
        compiler_params=params("parallel", "parallel", "arbitrary"),
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
        for p, q, pixels in windows(x_ref, taps, row, columns):
            total += dot(pixels, w_ref[p, q], 1, 0)
        accumulator[row] += total.reshape(columns, batch, channels)

    lax.fori_loop(0, rows, add_row, None)

    @pl.when((step == last) | (outputs[step] != outputs[jnp.minimum(step + 1, last)]))
    def _() -> None:
        y_ref[...] = accumulator[...].astype(y_ref.dtype)
