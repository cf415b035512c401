"""The Hopper kernel of the forward product and of the input gradient: an implicit matrix product over block rows."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxtyping import Array, Float

from .config import CONSUMERS, LANE, ConvTiling
from .launch import launch, multiprocessors
from .plan import Row, Tap, box_grid, choose_box, splits_in_halves, table
from .shared import BoxBuffer, Index, Ref, Ring, matrix_transforms, unravel


def block_row_product(
    x: Float[Array, "B Hx sx Wx tx C"],
    w: Float[Array, "taps Cw Kw"],
    rows: list[Row],
    taps: list[Tap],
    out_shape: tuple[int, int, int, int, int, int],
    config: ConvTiling,
    *,
    upwards: bool,
) -> Float[Array, "B Hy sy Wy ty K"]:
    """Returns y[.., n] = Σ x[box moved by a tap, c] · w[tap, c, n], each block row over its own taps and input blocks.

    Args:
      x: inputs, split into phases; C a multiple of 8.
      w: masked weights; Cw a multiple of 64 and Kw of `config.columns`, zero past the channels that exist.
      rows: block rows, longest first.
      taps: taps, which rows refer to.
      out_shape: shape of y, split into phases; K a multiple of 8.
      config: tile sizes.
      upwards: whether reductions walk up the input channels, and narrow steps feed the upper half of the columns;
        otherwise down, and the lower half.

    Returns:
      The product, of the dtype of `x`.
    """
    batch, height, _, width, _, _ = out_shape
    box = choose_box(batch, height, width, config.rows)
    grid = box_grid((batch, height, width), box)
    half = _halve(box)
    a = BoxBuffer((config.stages,), box, x.dtype)
    staged = BoxBuffer((CONSUMERS,), half, x.dtype)
    own_rows = config.rows // CONSUMERS
    halves = splits_in_halves(config.columns)
    narrow_columns = config.columns // 2
    narrow_start = narrow_columns if upwards else 0
    tiles = math.prod(grid)
    per_group = min(tiles, multiprocessors() * config.waves) if config.waves else tiles

    def place(item: Index, row_table: Ref) -> tuple[list[Index], Row]:
        # All blocks work on rows of one length at a time, and on pixels that the cache holds for the next rows.
        group = lax.div(item, jnp.int32(len(rows) * per_group))
        rest = item - group * (len(rows) * per_group)
        size = lax.min(jnp.int32(per_group), tiles - group * per_group)
        row, tile = lax.div(rest, size), group * per_group + lax.rem(rest, size)
        corner = [i * edge for i, edge in zip(unravel(tile, grid), box, strict=True)]
        return corner, Row(*(row_table[row, i] for i in range(len(Row._fields))))

    def produce(item: Index, step: Index, ring: Ring, refs: Any, _: Ref, shared: Any) -> Index:
        x_ref, w_ref, row_table, tap_table = refs
        a_shared, b_shared, _ = shared
        (b, h, v), row = place(item, row_table)

        def fill(i: Index, step: Index) -> Index:
            slot = ring.acquire(step)
            # Taps innermost: they read nearly the same pixels, while those are still in the cache.
            entry = row.tap_start + lax.rem(i, row.taps)
            tap = Tap(*(tap_table[entry, j] for j in range(len(Tap._fields))))
            walked = lax.div(i, row.taps)
            channels = pl.ds((row.first + (walked if upwards else -walked)) * LANE, LANE)
            source = x_ref.at[
                pl.ds(b, box[0]),
                pl.ds(h + tap.shift_h, box[1]),
                tap.phase_h,
                pl.ds(v + tap.shift_w, box[2]),
                tap.phase_w,
                channels,
            ]
            plgpu.copy_gmem_to_smem(source, a.box(a_shared, slot), ring.full.at[slot])
            weights = w_ref.at[tap.weights, channels, pl.ds(row.column, config.columns)]
            plgpu.copy_gmem_to_smem(weights, b_shared.at[slot], ring.full.at[slot])
            return step + 1

        return lax.fori_loop(0, row.steps, fill, step)

    def consume(item: Index, step: Index, warpgroup: Index, ring: Ring, refs: Any, y_ref: Ref, shared: Any) -> Index:
        a_shared, b_shared, staged_shared = shared
        (b, h, v), row = place(item, refs[2])

        def multiply(i: Index, acc: Ref, columns: Any) -> None:
            slot = ring.consume(step + i)
            matrix = a.matrix(a_shared, slot, reader=warpgroup)
            left = matrix.at[pl.ds(warpgroup * own_rows, own_rows)]
            plgpu.wgmma(acc, left, b_shared.at[slot, :, columns])
            # One product stays in flight; the one before it no longer reads its slot.
            plgpu.wgmma_wait(1)
            pl.when(i > 0)(lambda: ring.release(step + i - 1))

        def accumulate(acc: Ref, narrow_acc: Ref | None) -> tuple[jax.Array, jax.Array | None]:
            wide = row.taps * row.wide
            pl.loop(0, wide)(lambda i: multiply(i, acc, pl.ds(0, config.columns)))
            narrow = None
            if narrow_acc is not None:
                pl.loop(wide, row.steps)(lambda i: multiply(i, narrow_acc, pl.ds(narrow_start, narrow_columns)))
                narrow = narrow_acc[...]
            result = acc[...]
            pl.when(row.steps > 0)(lambda: ring.release(step + row.steps - 1))
            return result, narrow

        result, narrow = pl.run_scoped(
            accumulate,
            plgpu.ACC((own_rows, config.columns), jnp.float32),
            # Its own, since products into a part of another accumulator would have to wait for each other.
            plgpu.ACC((own_rows, narrow_columns), jnp.float32) if halves else None,
        )
        corner = [i + warpgroup * (edge - mine) for i, edge, mine in zip((b, h, v), box, half, strict=True)]
        window = [pl.ds(i, edge) for i, edge in zip(corner, half, strict=True)]
        for j in range(0, config.columns, LANE):
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)
            part = result[:, j : j + LANE]
            if narrow is not None and 0 <= j - narrow_start < narrow_columns:
                part += narrow[:, j - narrow_start : j - narrow_start + LANE]
            staged.store(staged_shared, part.astype(x.dtype), warpgroup)
            plgpu.commit_smem()
            target = y_ref.at[window[0], window[1], row.phase_h, window[2], row.phase_w, pl.ds(row.column + j, LANE)]
            plgpu.copy_smem_to_gmem(staged.box(staged_shared, warpgroup), target)
        return step + row.steps

    return launch(
        produce,
        consume,
        (x, w, jnp.asarray(table(rows)), jnp.asarray(table(taps))),
        jax.ShapeDtypeStruct(out_shape, x.dtype),
        items=len(rows) * tiles,
        stages=config.stages,
        copies_per_step=2,
        scratch=(
            a.scratch(),
            plgpu.SMEM((config.stages, LANE, config.columns), x.dtype, transforms=matrix_transforms(x.dtype)),
            staged.scratch(),
        ),
        name="block_row_product",
    )


def _halve(box: tuple[int, int, int]) -> tuple[int, int, int]:
    """Returns one consumer's part of a box: the flattened box cut in the middle is again a box."""
    b, h, w = box
    if b > 1:
        return b // 2, h, w
    return (1, h // 2, w) if h > 1 else (1, 1, w // 2)
