"""The Hopper kernel of the weight gradient: only blocks of weights that exist, each a sum over pixels."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxtyping import Array, Float

from ..geometry import round_up
from .config import CONSUMERS, LANE, WeightTiling
from .launch import launch, multiprocessors
from .plan import Tap, WeightBlock, box_grid, choose_box, table
from .shared import BoxBuffer, Index, Ref, Ring, matrix_transforms, unravel

# What filling the ring, and writing a partial sum and reading it back, cost in pixels of one block's arithmetic:
# estimates for an H100, from 2048 multiply-adds per clock and 13 bytes of memory per clock and multiprocessor.
STARTUP_PIXELS, PARTIAL_PIXELS = 160, 800


def block_weight_product(
    x: Float[Array, "B Hx sx Wx tx C"],
    dy: Float[Array, "B H W K"],
    blocks: list[WeightBlock],
    taps: list[Tap],
    config: WeightTiling,
) -> Float[Array, "splits taps Cw Kw"]:
    """Returns partial sums of dw[tap, c, k] = Σ_pixels x[pixel moved by the tap, c] · dy[pixel, k].

    Args:
      x: inputs, split into phases; C a multiple of 8.
      dy: gradient of the outputs; K a multiple of 8.
      blocks: blocks to compute.
      taps: taps, which blocks refer to.
      config: tile sizes.

    Returns:
      float32 partial sums, to be added over the splits. Blocks not asked for hold anything, NaN included.
    """
    batch, height, width, out_channels = dy.shape
    box = choose_box(batch, height, width, config.pixels)
    grid = box_grid((batch, height, width), box)
    tiles = math.prod(grid)
    splits = min(tiles, config.splits or fill_splits(len(blocks), batch * height * width, multiprocessors()))
    tiles_per_split = -(-tiles // splits)
    a = BoxBuffer((config.stages, config.taps * config.rows // LANE), box, x.dtype)
    b = BoxBuffer((config.stages, config.columns // LANE), box, x.dtype)
    down, across = config.rows // LANE, config.columns // LANE
    own = down // CONSUMERS
    # What a consumer accumulates: (tap, block of input channels, block of output channels).
    parts = list(itertools.product(range(config.taps), range(own), range(across)))
    all_taps = len({tap.weights for tap in taps})
    dy = dy[:, :, None, :, None, :]

    def place(item: Index, refs: Any) -> tuple[Index, Index, Index, WeightBlock, list[Tap]]:
        block_table, tap_table = refs[2:]
        entry, split = lax.div(item, jnp.int32(splits)), lax.rem(item, jnp.int32(splits))
        start = split * tiles_per_split
        stop = lax.min(start + tiles_per_split, jnp.int32(tiles))
        block = WeightBlock(*(block_table[entry, i] for i in range(len(WeightBlock._fields))))
        own_taps = [Tap(*(tap_table[block.tap + t, i] for i in range(len(Tap._fields)))) for t in range(config.taps)]
        return split, start, lax.max(stop - start, 0), block, own_taps

    def produce(item: Index, step: Index, ring: Ring, refs: Any, _: Ref, shared: Any) -> Index:
        x_ref, dy_ref = refs[:2]
        a_shared, b_shared, _ = shared
        _, start, steps, block, own_taps = place(item, refs)

        def fill(i: Index, step: Index) -> Index:
            slot = ring.acquire(step)
            n, h, v = (at * edge for at, edge in zip(unravel(start + i, grid), box, strict=True))
            for (t, tap), j in itertools.product(enumerate(own_taps), range(down)):
                source = x_ref.at[
                    pl.ds(n, box[0]),
                    pl.ds(h + tap.shift_h, box[1]),
                    tap.phase_h,
                    pl.ds(v + tap.shift_w, box[2]),
                    tap.phase_w,
                    pl.ds(block.row + j * LANE, LANE),
                ]
                plgpu.copy_gmem_to_smem(source, a.box(a_shared, slot, t * down + j), ring.full.at[slot])
            for j in range(across):
                channels = pl.ds(block.column + j * LANE, LANE)
                source = dy_ref.at[pl.ds(n, box[0]), pl.ds(h, box[1]), 0, pl.ds(v, box[2]), 0, channels]
                plgpu.copy_gmem_to_smem(source, b.box(b_shared, slot, j), ring.full.at[slot])
            return step + 1

        return lax.fori_loop(0, steps, fill, step)

    def consume(item: Index, step: Index, warpgroup: Index, ring: Ring, refs: Any, out: Ref, shared: Any) -> Index:
        a_shared, b_shared, staged = shared
        split, _, steps, block, own_taps = place(item, refs)

        def accumulate(*accs: Ref) -> list[jax.Array]:
            def multiply(i: Index, _: None) -> None:
                slot = ring.consume(step + i)
                for (t, r, c), acc in zip(parts, accs, strict=True):
                    left = a.matrix(a_shared, slot, t * down + warpgroup * own + r, reader=warpgroup)
                    plgpu.wgmma(acc, left.transpose((1, 0)), b.matrix(b_shared, slot, c, reader=warpgroup))
                plgpu.wgmma_wait(len(parts))
                pl.when(i > 0)(lambda: ring.release(step + i - 1))

            lax.fori_loop(0, steps, multiply, None)
            results = [acc[...] for acc in accs]
            pl.when(steps > 0)(lambda: ring.release(step + steps - 1))
            return results

        results = pl.run_scoped(accumulate, *[plgpu.ACC((LANE, LANE), jnp.float32)] * len(parts))
        for (t, r, c), result in zip(parts, results, strict=True):
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)
            staged[warpgroup] = result
            plgpu.commit_smem()
            target = out.at[
                split * all_taps + own_taps[t].weights,
                pl.ds(block.row + (warpgroup * own + r) * LANE, LANE),
                pl.ds(block.column + c * LANE, LANE),
            ]
            plgpu.copy_smem_to_gmem(staged.at[warpgroup], target)
        return step + steps

    in_channels, out_channels = round_up(x.shape[-1], config.rows), round_up(out_channels, config.columns)
    partial = launch(
        produce,
        consume,
        (x, dy, jnp.asarray(table(blocks)), jnp.asarray(table(taps))),
        jax.ShapeDtypeStruct((splits * all_taps, in_channels, out_channels), jnp.float32),
        items=len(blocks) * splits,
        stages=config.stages,
        copies_per_step=config.taps * down + across,
        scratch=(
            a.scratch(),
            b.scratch(),
            plgpu.SMEM((CONSUMERS, LANE, LANE), jnp.float32, transforms=matrix_transforms(jnp.float32)),
        ),
        name="block_weight_product",
    )
    return partial.reshape(splits, all_taps, in_channels, out_channels)


def fill_splits(blocks: int, pixels: int, multiprocessors: int) -> int:
    """Returns into how many parts to cut the pixels, so that few multiprocessors idle and few parts are stored.

    Args:
      blocks: blocks of weights to compute.
      pixels: output pixels, over the batch.
      multiprocessors: blocks that run at once.

    Returns:
      1 to 32.
    """

    def cost(splits: int) -> float:
        rounds = -(-blocks * splits // multiprocessors)
        return rounds * (pixels / splits + STARTUP_PIXELS) + blocks * splits / multiprocessors * PARTIAL_PIXELS

    return min(range(1, 33), key=cost)
