"""Compiles the TPU kernels for real chips on a machine that has none, with libtpu's ahead-of-time compiler.

    python -m kernels.bench.tpu

Prints a table of every product of the named layers, in both dtypes, for every chip, then a line of JSON.
"""

import json
import time
from typing import Any, NamedTuple, cast

import jax
from tqdm import tqdm

from ..backend import PRODUCTS, Product, Products
from ..pallas_tpu import ops
from ..pallas_tpu.compile import CHIPS, can_compile, offline_sharding
from ..pallas_tpu.config import TpuConfig
from ..shapes import SHAPES, Shape
from ..target import target_platform
from . import options
from .ending import one_line_errors


class Compiled(NamedTuple):
    """What the compiler says of one kernel: sizes in bytes, and how many blocks of weights its grid visits."""

    shape: str
    product: str
    dtype: str
    chip: str
    seconds: float
    code: int
    temporaries: int
    vmem: int
    visited: int
    blocks: int


def compile_kernel(shape: Shape, product: Product, dtype: str, chip: str) -> Compiled:
    """Compiles one product of one layer.

    Args:
      shape: the layer.
      product: "forward", "input_gradient" or "weight_gradient".
      dtype: of all arrays.
      chip: a key of `CHIPS`.

    Returns:
      What the compiler reports; `vmem` is this package's own upper bound of what the blocks take.

    Raises:
      jax.errors.JaxRuntimeError: if the kernel does not compile, or needs more VMEM than the chip has.
      UnsupportedError: if the compiler is not installed.
    """
    sharding = offline_sharding(chip)
    shapes = (shape.x_shape, shape.w_shape, shape.y_shape)
    arrays = [jax.ShapeDtypeStruct(each, dtype, sharding=sharding) for each in shapes]
    start = time.perf_counter()
    with target_platform("tpu"):
        call = jax.jit(lambda x, w, dy: shape.product(product, Products.of(ops), x, w, dy))
        compiled = call.lower(*arrays).compile()
    seconds = time.perf_counter() - start
    memory = cast(Any, compiled.memory_analysis())
    config = TpuConfig(batch=16, rows=1)  # for its channels alone
    tiles = [-(-channels // min(channels, config.channels)) for channels in shape.w_shape[2:]]
    return Compiled(
        shape=shape.name,
        product=product,
        dtype=dtype,
        chip=chip,
        seconds=seconds,
        code=memory.generated_code_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        vmem=ops.vmem_bytes(product, shape.x_shape, shape.w_shape, shape.strides, shape.pads, dtype),
        visited=len(ops.blocks(shape.visible, shape.in_channels, config).inputs),
        blocks=tiles[0] * tiles[1],
    )


def main(arguments: list[str] | None = None) -> None:
    """Compiles what the command line names."""
    parser = options.make_parser(f"{__package__}.tpu", __doc__)
    options.add_shapes(parser)
    args = parser.parse_args(arguments)
    if not can_compile():
        parser.error("it needs the TPU compiler: pip install libtpu")
    cases = [(s, p, d, c) for s in args.shapes or SHAPES for p in PRODUCTS for d in ops.DTYPES for c in CHIPS]
    rows = [compile_kernel(*case) for case in tqdm(cases, unit="kernel")]
    print(f"{'shape':24} {'product':16} {'dtype':9} {'chip':4} {'s':>5} {'code KiB':>9} {'HBM temp MiB':>12} ", end="")
    print(f"{'VMEM MiB ≤':>10} {'blocks':>9}")
    for r in rows:
        print(
            f"{r.shape:24} {r.product:16} {r.dtype:9} {r.chip:4} {r.seconds:5.1f} {r.code / 2**10:9.0f} "
            f"{r.temporaries / 2**20:12.1f} {r.vmem / 2**20:10.1f} {r.visited:>4}/{r.blocks:<4}"
        )
    print(json.dumps([r._asdict() for r in rows]))


if __name__ == "__main__":
    with one_line_errors():
        main()
