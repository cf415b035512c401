"""The TPU backend, interpreted on a CPU, and what its grids visit."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from awn_kernels import target_platform, triangular_conv
from awn_kernels.pallas_tpu import conv, ops
from awn_kernels.pallas_tpu.config import TpuConfig
from awn_kernels.pallas_tpu.tiles import Taps
from awn_kernels.shapes import SHAPES
from jax.experimental.pallas import tpu as pltpu

from tests.kernels.suite import CASES, MeshSuite, NumbersSuite, TriangularConvSuite


@contextlib.contextmanager
def interpreted():
    with target_platform("tpu"), pltpu.force_tpu_interpret_mode():
        yield


class TestPallasTpu(TriangularConvSuite):
    implementation = "pallas_tpu"
    dtypes = ("float32",)

    def context(self):
        return interpreted()


class TestPallasTpuBfloat16(NumbersSuite):
    implementation = "pallas_tpu"
    cases = tuple(case for case in CASES if case.name in ("triangle", "strided", "ragged_rectangle", "matmul", "wide"))
    dtypes = ("bfloat16",)

    def context(self):
        return interpreted()


class TestPallasTpuOnAMesh(MeshSuite):
    implementation = "pallas_tpu"

    def context(self):
        return interpreted()


def pallas_calls(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name == "pallas_call":
            yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from pallas_calls(inner)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if min(shape.w_shape[2:]) > 128], ids=lambda s: s.name)
def test_visits_as_many_blocks_as_the_staircase_holds(shape):
    def products(x, w):
        y, transpose = jax.vjp(lambda x, w: shape.conv(x, w, implementation="pallas_tpu"), x, w)
        return transpose(y)

    with target_platform("tpu"):
        jaxpr = jax.make_jaxpr(products)(*shape.arguments(batch=2))
    calls = list(pallas_calls(jaxpr.jaxpr))
    assert len(calls) == 3

    tiles = [min(128, channels) for channels in shape.w_shape[2:]]
    mask = np.arange(shape.in_channels)[:, None] < np.asarray(shape.visible)
    rows, columns = (np.arange(0, size, tile) for size, tile in zip(mask.shape, tiles, strict=True))
    holding = sum(mask[i : i + tiles[0], j : j + tiles[1]].any() for i in rows for j in columns)
    assert holding < len(rows) * len(columns)
    for call in calls:
        grid = call.params["grid_mapping"].grid
        block_axis = 0 if "weight_gradient" in str(call.params["name"]) else 2
        assert grid[block_axis] == holding


def test_never_reads_a_block_past_the_staircase():
    config = TpuConfig(batch=8, rows=2)
    visible = tuple(128 * (k // 128 + 1) for k in range(384))
    visited = ops.blocks(visible, 384, config)
    past = np.arange(384)[:, None] >= np.asarray(visible)
    w = jnp.where(past, jnp.nan, jnp.ones((1, 1, 384, 384)))
    with interpreted():
        y = conv.gemm(jnp.ones((1, 2, 3, 8, 384)), w, visited, Taps((1, 1), (1, 1)), config)
    np.testing.assert_array_equal(y, np.broadcast_to(np.asarray(visible, np.float32), y.shape))


@pytest.mark.parametrize(
    ("platform", "dtype", "width", "reason"),
    [("cpu", "float32", 4, "needs a TPU"), ("tpu", "float16", 4, "dtypes are"), ("tpu", "float32", 40_000, "VMEM")],
)
def test_says_why_it_cannot_run(platform, dtype, width, reason):
    x, w = jax.ShapeDtypeStruct((1, 4, width, 4), dtype), jax.ShapeDtypeStruct((3, 3, 4, 4), dtype)
    with target_platform(platform), pytest.raises(NotImplementedError, match=reason):
        jax.eval_shape(lambda x, w: triangular_conv(x, w, (1, 2, 3, 4), implementation="pallas_tpu"), x, w)
