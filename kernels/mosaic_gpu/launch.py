"""Launching a persistent kernel: two consumer warpgroups and one producer per block, a block per multiprocessor."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from .config import CONSUMERS
from .plan import dealt
from .shared import Index, Ring, interpreting

# An H100's, for building ahead of time where there is no GPU to ask.
DEFAULT_MULTIPROCESSORS = 132
# Of 65536 / 128 = 512 registers per thread triple, what the producer keeps and what each consumer takes.
PRODUCER_REGISTERS, CONSUMER_REGISTERS = 40, 232


def multiprocessors() -> int:
    """Returns how many blocks run at once: the GPU's multiprocessors; 2 when interpreting, where blocks take turns."""
    if interpreting():
        return 2
    device = jax.devices()[0]
    return device.core_count if device.platform == "gpu" else DEFAULT_MULTIPROCESSORS


def launch(
    produce: Callable[..., Index],
    consume: Callable[..., Index],
    operands: Sequence[jax.Array],
    out: jax.ShapeDtypeStruct,
    *,
    items: int,
    stages: int,
    copies_per_step: int,
    scratch: Sequence[Any],
    name: str,
) -> jax.Array:
    """Runs `items` pieces of work, dealt out in turn to persistent blocks.

    Args:
      produce: (item, step, ring, operand refs, out ref, scratch refs) -> next step. Issues the copies of one item.
      consume: the same, plus the warpgroup's index before the ring. Does the arithmetic of one item.
      operands: arrays in device memory.
      out: shape and dtype of the result.
      items: pieces of work; the longest first.
      stages: depth of the ring.
      copies_per_step: copies that fill one slot.
      scratch: allocations in shared memory.
      name: for profiles.

    Returns:
      The result.
    """
    blocks = min(items, multiprocessors())

    def kernel(*refs: Any) -> None:
        ins, y, shared = refs[: len(operands)], refs[len(operands)], refs[len(operands) + 1 : -2]
        ring = Ring(refs[-2], refs[-1], stages)
        warpgroup, block = lax.axis_index("warpgroup"), lax.axis_index("block")
        whole = items // blocks
        turns = whole + (dealt(whole, block, blocks) < items).astype(jnp.int32)

        @pl.when(warpgroup == CONSUMERS)
        def _producer() -> None:
            plgpu.set_max_registers(PRODUCER_REGISTERS, action="decrease")
            steps = lax.fori_loop(
                0,
                turns,
                lambda turn, step: produce(dealt(turn, block, blocks), step, ring, ins, y, shared),
                jnp.int32(0),
            )
            ring.drain(steps)

        @pl.when(warpgroup < CONSUMERS)
        def _consumer() -> None:
            plgpu.set_max_registers(CONSUMER_REGISTERS, action="increase")
            lax.fori_loop(
                0,
                turns,
                lambda turn, step: consume(dealt(turn, block, blocks), step, warpgroup, ring, ins, y, shared),
                jnp.int32(0),
            )
            plgpu.wait_smem_to_gmem(0)

    kernel.__name__ = name
    run = plgpu.kernel(
        kernel,
        out_type=out,
        grid=(blocks,),
        grid_names=("block",),
        num_threads=CONSUMERS + 1,
        thread_name="warpgroup",
        scratch_types=[
            *scratch,
            plgpu.Barrier(num_arrivals=copies_per_step, num_barriers=stages),
            plgpu.Barrier(num_arrivals=CONSUMERS, num_barriers=stages),
        ],
        # Both forms of a box buffer are spelled out, so nothing is left to infer; JAX 0.10 could not infer it.
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
    )
    # Indices are 32 bits wide whatever the rest of the program computes in.
    with jax.enable_x64(False):
        return run(*operands)
