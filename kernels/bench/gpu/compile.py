"""`--compile`: every kernel at every layer, compiled for an H100 that need not exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp

from ...backend import PRODUCTS, Product
from ...mosaic_gpu.compile import offline_sharding
from ...shapes import Shape
from ..ending import one_line_errors
from .layers import KEY_LAYERS, OTHER_LAYERS
from .report import Report
from .search import products_with

MARK = "### "
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")


def main(folder: Path) -> int:
    """Compiles in a child process, whose compiler messages it reads; returns the exit status."""
    child = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import compile_all; compile_all()"],
        env=os.environ | {"MOSAIC_GPU_DUMP_PTXAS": "1", "PYTHONUNBUFFERED": "1", "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if child.returncode:
        print(child.stdout[-4000:], end="", file=sys.stderr)
        return child.returncode
    rows = [row_of(*part.split("\n", 1)) for part in child.stdout.split(MARK)[1:]]
    Report(folder, "Hopper kernels, compiled").add("Compiled for sm_90a, no GPU needed", "compiled", rows)
    return 0


def compile_all() -> None:
    """Compiles each product of each layer, after a line that names it."""
    with one_line_errors():
        offline_sharding()
        for layer in (*KEY_LAYERS, *OTHER_LAYERS):
            for product in PRODUCTS:
                print(f"{MARK}{layer.name} {product}", flush=True)
                lower(layer, product).compile()


def lower(layer: Shape, product: Product) -> jax.stages.Lowered:
    """Returns one product of one layer, lowered for an H100."""
    sharding = offline_sharding()
    x, w, dy = (
        jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=sharding)
        for shape in (layer.x_shape, layer.w_shape, layer.y_shape)
    )
    call = jax.jit(lambda x, w, dy: layer.product(product, products_with({}), x, w, dy))
    return call.trace(x, w, dy).lower(lowering_platforms=("cuda",))


def row_of(title: str, messages: str = "") -> dict[str, object]:
    """Returns one row of the table: what the compiler said after the line that named a product."""
    layer, product = title.split()
    spills, registers = SPILLS.search(messages), REGISTERS.search(messages)
    return {
        "layer": layer,
        "product": product,
        "registers": registers.group(1) if registers else "as above",
        "stack, spill bytes": " ".join(spills.groups()) if spills else "as above",
        "wgmma serialised": "serializ" in messages,
    }
