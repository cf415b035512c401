"""The TPU kernel of the weight gradient: only blocks of weights that exist."""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from .config import TpuConfig
from .tiles import Blocks, Taps, dot, elements, first, params, windows


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
    window = elements(phases, config.rows + down, width, config.batch, tile_in)
    return pl.pallas_call(
        functools.partial(_weight_gradient_kernel, taps),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=(len(blocks.inputs), batch // config.batch, rows // config.rows),
            in_specs=[
                pl.BlockSpec(
                    window,
                    lambda n, b, r, i, o: (0, r * config.rows, 0, b * config.batch, first(i[n], tile_in, in_channels)),
                ),
                pl.BlockSpec((config.rows, columns, config.batch, tile_out), lambda n, b, r, i, o: (r, 0, b, o[n])),
            ],
            out_specs=pl.BlockSpec((*taps.size, tile_in, tile_out), lambda n, b, r, i, o: (0, 0, i[n], o[n])),
        ),
        out_shape=jax.ShapeDtypeStruct((*taps.size, in_channels, out_channels), jnp.float32),
        compiler_params=params("parallel", "arbitrary", "arbitrary"),
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
        for p, q, pixels in windows(x_ref, taps, row, columns):
            dw_ref[p, q] += dot(pixels, gradients, 0, 0)

    lax.fori_loop(0, rows, add_row, None)
