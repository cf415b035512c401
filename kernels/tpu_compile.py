"""Compiles the TPU kernels for real chips on a machine that has none, with libtpu's ahead-of-time compiler."""

import importlib.util
import json
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
from jax import Array
from jax.sharding import SingleDeviceSharding
from tqdm import tqdm

from . import heuristics, pallas_tpu
from .shapes import Shape
from .target import target_platform

CHIPS = {"v5e": "v5e:2x2", "v6e": "v6e:2x2"}
DTYPES = ("float32", "bfloat16")
PRODUCTS: tuple[heuristics.Product, ...] = ("forward", "input_gradient", "weight_gradient")


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


def libtpu_is_installed() -> bool:
    """Whether the wheel with the TPU compiler is there."""
    return importlib.util.find_spec("libtpu") is not None


def compile_kernel(shape: Shape, product: heuristics.Product, dtype: str, chip: str) -> Compiled:
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
    """
    from jax.experimental import topologies

    device = topologies.get_topology_desc(platform="tpu", topology_name=CHIPS[chip]).devices[0]
    function, operands = _product(shape, product, dtype)
    sharding = SingleDeviceSharding(device)
    placed = [jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding) for a in operands]
    start = time.perf_counter()
    with target_platform("tpu"):
        compiled = jax.jit(function).lower(*placed).compile()
    seconds = time.perf_counter() - start
    memory = cast(Any, compiled.memory_analysis())
    strides, pads = (shape.stride, shape.stride), ((shape.padding, shape.padding),) * 2
    x_shape = shape.batch, shape.size, shape.size, shape.in_channels
    out_shape = shape.batch, shape.out_size, shape.out_size, shape.out_channels
    if shape.kernel == shape.stride == 1:
        out_shape = shape.batch * shape.out_size**2, 1, 1, shape.out_channels
    config = heuristics.tpu_config(out_shape, shape.w_shape, strides, dtype)
    tiles = [-(-channels // min(channels, config.channels)) for channels in shape.w_shape[2:]]
    return Compiled(
        shape=shape.name,
        product=product,
        dtype=dtype,
        chip=chip,
        seconds=seconds,
        code=memory.generated_code_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        vmem=pallas_tpu.vmem_bytes(product, x_shape, shape.w_shape, strides, pads, dtype),
        visited=len(pallas_tpu.blocks(shape.visible, shape.in_channels, config).inputs),
        blocks=tiles[0] * tiles[1],
    )


def _product(shape: Shape, product: str, dtype: str) -> tuple[Callable[..., Array], list[jax.ShapeDtypeStruct]]:
    x, w = shape.arguments(dtype=dtype)
    y = jax.ShapeDtypeStruct((shape.batch, shape.out_size, shape.out_size, shape.out_channels), dtype)
    pads = ((shape.padding, shape.padding),) * 2
    static: dict[str, Any] = {"strides": (shape.stride, shape.stride), "padding": pads}
    if product == "forward":
        return lambda x, w: pallas_tpu.forward(x, w, shape.visible, **static), [x, w]
    if product == "input_gradient":
        return lambda y, w: pallas_tpu.input_gradient(y, w, shape.visible, x_shape=x.shape, **static), [y, w]
    return lambda x, y: pallas_tpu.weight_gradient(x, y, shape.visible, w_shape=shape.w_shape, **static), [x, y]


def main(shapes: list[Shape]) -> None:
    """Compiles every product of the given layers in both dtypes for every chip; prints a table, then a line of JSON."""
    if not libtpu_is_installed():
        raise SystemExit("--tpu-compile needs the TPU compiler: pip install libtpu")
    # There is no machine to ask for these.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    cases = [(s, p, d, c) for s in shapes for p in PRODUCTS for d in DTYPES for c in CHIPS]
    rows = [compile_kernel(*case) for case in tqdm(cases, unit="kernel")]
    print(f"{'shape':24} {'product':16} {'dtype':9} {'chip':4} {'s':>5} {'code KiB':>9} {'HBM temp MiB':>12} ", end="")
    print(f"{'VMEM MiB ≤':>10} {'blocks':>9}")
    for r in rows:
        print(
            f"{r.shape:24} {r.product:16} {r.dtype:9} {r.chip:4} {r.seconds:5.1f} {r.code / 2**10:9.0f} "
            f"{r.temporaries / 2**20:12.1f} {r.vmem / 2**20:10.1f} {r.visited:>4}/{r.blocks:<4}"
        )
    print(json.dumps([r._asdict() for r in rows]))
