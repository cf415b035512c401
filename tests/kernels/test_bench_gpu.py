"""The GPU bench's own arithmetic: what it counts, what it compares with, what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from awn_kernels.backend import PRODUCTS
from awn_kernels.bench.gpu import __main__ as cli
from awn_kernels.bench.gpu import check, compile, search
from awn_kernels.bench.gpu.layers import TINY_LAYERS
from awn_kernels.bench.gpu.report import Report
from awn_kernels.bench.gpu.speed import floor_seconds
from awn_kernels.bench.gpu.visited import visited_flops
from awn_kernels.bench.roofline import Chip
from awn_kernels.mosaic_gpu.config import ConvTiling, WeightTiling
from awn_kernels.shapes import Shape
from jax.experimental.pallas import mosaic_gpu as plgpu

from tests.kernels import oracle
from tests.kernels.mosaic_shapes import as_case

SQUARE = Shape("square", 8, 512, 512, batch=4)


@pytest.mark.parametrize("product", ["forward", "input_gradient"])
def test_visited_work_of_a_square_layer(product):
    # 8 × 8 blocks of 64 × 64, of which the triangle with its diagonal has 36.
    assert visited_flops(product, SQUARE, ConvTiling(256, 128)) == 2 * 256 * 9 * 36 * 64 * 64
    # Blocks of 64 alone cannot be halved.
    assert visited_flops(product, SQUARE, ConvTiling(128, 64)) == 2 * 256 * 9 * 36 * 64 * 64


def test_visited_work_of_the_weight_gradient():
    assert visited_flops("weight_gradient", SQUARE, WeightTiling(128, 128)) == 2 * 256 * 9 * 10 * 128 * 128


def test_visited_counts_pixels_that_boxes_add():
    layer = Shape("ragged", 7, 64, 64, batch=1)
    assert visited_flops("forward", layer, ConvTiling(128, 64)) == 2 * 128 * 9 * 64 * 64


def test_useful_work_is_half_of_dense():
    dense = 4 * 64 * 9 * 512 * 512
    assert SQUARE.useful_macs == dense * 513 // 1024


def test_floor_is_the_larger_of_both():
    slow_memory, slow_arithmetic = Chip("slow memory", 1e15, 1e9), Chip("slow arithmetic", 1e9, 1e15)
    bytes_moved = 2 * (2 * 4 * 64 * 512 + 9 * 512 * 512)
    assert floor_seconds(SQUARE, slow_memory) == (pytest.approx(bytes_moved / 1e9), "memory")
    assert floor_seconds(SQUARE, slow_arithmetic) == (pytest.approx(2 * SQUARE.useful_macs / 1e9), "arithmetic")


@pytest.mark.parametrize("layer", TINY_LAYERS, ids=lambda layer: layer.name)
def test_the_judge_is_right(layer):
    expected = check.exact(layer)
    case = as_case(layer)
    arrays = (expected.x, expected.w, expected.dy)
    for name, exact in zip(PRODUCTS, oracle.products(case, *arrays), strict=True):
        np.testing.assert_allclose(expected.results[name], exact, rtol=1e-4, atol=1e-4)


def test_the_judge_rejects_wrong_results():
    layer = TINY_LAYERS[1]
    expected = check.exact(layer)
    dw = expected.results["weight_gradient"]
    assert check.relative_error("weight_gradient", dw, expected, layer) == 0
    past = dw.at[0, 0, -1, 0].set(1e-6)
    assert check.relative_error("weight_gradient", past, expected, layer) == float("inf")
    y = expected.results["forward"]
    assert check.relative_error("forward", y.at[0, 0, 0, 0].set(jnp.nan), expected, layer) == float("inf")
    assert check.relative_error("forward", 1.01 * y, expected, layer) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("product", PRODUCTS)
def test_search_rounds(product):
    first = list(search.candidates(product, None))
    shapes = [search.tile_shape(tile) for tile in first]
    assert len(set(shapes)) == len(shapes)
    second = list(search.candidates(product, first[0]))
    assert second
    assert first[0] not in second
    assert {search.tile_shape(tile) for tile in second} == {shapes[0]}


def test_report_writes_every_table_as_it_comes(tmp_path):
    report = Report(tmp_path, "Title")
    report.add("Heading", "key", [{"a": 1, "b": 0.123456}], "A note.")
    assert (tmp_path / "gpu.md").read_text().splitlines()[-3:] == ["| a | b |", "| --- | --- |", "| 1 | 0.123 |"]
    assert '"b": 0.123456' in (tmp_path / "gpu.json").read_text()


def test_compiler_messages_become_a_row():
    said = "ptxas info : 8 bytes stack frame, 4 bytes spill stores, 2 bytes spill loads\nUsed 168 registers, ...\n"
    row = compile.row_of("conv forward", said + "(C7511) wgmma.mma_async instructions are serialized")
    assert row == {
        "layer": "conv",
        "product": "forward",
        "registers": "168",
        "stack, spill bytes": "8 4 2",
        "wgmma serialised": True,
    }


@pytest.mark.skipif(hasattr(plgpu, "InterpretGPUParams"), reason="this JAX can interpret GPU kernels")
def test_says_that_interpreting_needs_a_newer_jax(tmp_path):
    with pytest.raises(NotImplementedError, match=r"interpreting GPU kernels needs JAX 0\.12 or newer, this is"):
        cli.main(["--interpret", f"--out={tmp_path}"])


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU")
def test_says_what_it_needs(capsys, tmp_path):
    with pytest.raises(SystemExit):
        cli.main([f"--out={tmp_path}"])
    assert "needs a Hopper GPU, found cpu" in capsys.readouterr().err
