"""The Hopper kernels as far as a machine without a GPU can tell: plans, tiles, lowering for CUDA, and refusals."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from awn_kernels import triangular_conv
from awn_kernels.mosaic_gpu import config, ops, plan
from awn_kernels.mosaic_gpu.config import LANE, ConvTiling, WeightTiling
from awn_kernels.mosaic_gpu.weights import fill_splits
from awn_kernels.target import target_platform
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tests.kernels.mosaic_shapes import LAYERS, lower_products
from tests.kernels.oracle import Case, mask
from tests.kernels.suite import CASES, arrays, products_of

DEEP = tuple(
    Case(name, (1, 9, 8, c), (*kernel, c, k), visible, strides, padding)
    for name, c, k, kernel, visible, strides, padding in (
        ("triangle", 320, 320, (3, 3), tuple(range(1, 321)), (1, 1), ((1, 1), (1, 1))),
        ("strided", 192, 192, (3, 3), tuple(range(1, 193)), (2, 2), ((1, 1), (1, 1))),
        ("uneven", 200, 130, (3, 2), tuple(200 * (k + 1) // 130 for k in range(130)), (1, 3), ((2, 0), (1, 3))),
        ("projection", 384, 64, (1, 1), tuple(6 * (k + 1) for k in range(64)), (1, 1), ((0, 0), (0, 0))),
        ("blind", 130, 200, (1, 1), (0,) * 70 + (130,) * 130, (1, 1), ((0, 0), (0, 0))),
        ("coarse", 256, 256, (1, 1), tuple(64 * (k // 64 + 1) for k in range(256)), (2, 2), ((0, 0), (0, 0))),
    )
)


def blocks_that_exist(exists, edge_rows, edge_columns):
    """Returns which blocks of a boolean matrix hold anything."""
    rows, columns = exists.shape
    padded = np.zeros((-(-rows // edge_rows) * edge_rows, -(-columns // edge_columns) * edge_columns), bool)
    padded[:rows, :columns] = exists
    blocks = padded.reshape(padded.shape[0] // edge_rows, edge_rows, padded.shape[1] // edge_columns, edge_columns)
    return blocks.any((1, 3))


def walked_blocks(row, columns, channels, upwards):
    """Returns the (input block, output block) pairs that a row visits at every tap, in what `wgmma` can be given.

    Without those of columns past the last channel, which a last block may have.
    """
    direction, halves = (1 if upwards else -1), 2 if columns % 128 == 0 else 1
    steps = [row.first + direction * i for i in range(row.wide + row.narrow)]
    columns_read = [range(halves)] * row.wide + [[halves - 1 if upwards else 0]] * row.narrow
    pairs = [(i, row.column // columns * halves + j) for i, js in zip(steps, columns_read, strict=True) for j in js]
    return [(i, j) for i, j in pairs if j * columns // halves < channels]


@pytest.mark.parametrize("columns", [64, 128, 192, 256])
@pytest.mark.parametrize("case", DEEP, ids=lambda case: case.name)
def test_forward_visits_exactly_the_blocks_that_exist(case, columns):
    rows, taps = plan.forward_plan(case.visible, case.w_shape[:2], columns, strides=case.strides, padding=case.padding)
    exists = blocks_that_exist(mask(case), LANE, columns // 2 if columns % 128 == 0 else columns)
    visited = [block for row in rows for block in walked_blocks(row, columns, case.w_shape[3], upwards=True)]
    assert sorted(visited) == list(zip(*np.nonzero(exists), strict=True))
    assert len(taps) == case.w_shape[0] * case.w_shape[1]
    assert all(row.taps == len(taps) for row in rows)
    assert [row.half_columns for row in rows] == sorted((row.half_columns for row in rows), reverse=True)


@pytest.mark.parametrize("columns", [64, 128, 192, 256])
@pytest.mark.parametrize("case", DEEP, ids=lambda case: case.name)
def test_input_gradient_visits_the_mirrored_blocks_once_per_tap(case, columns):
    rows, taps = plan.input_gradient_plan(
        case.visible, case.w_shape[2], case.w_shape[:2], columns, strides=case.strides, padding=case.padding
    )
    exists = blocks_that_exist(mask(case).T, LANE, columns // 2 if columns % 128 == 0 else columns)
    seen = [
        (tap.weights, *block)
        for row in rows
        for tap in taps[row.tap_start : row.tap_start + row.taps]
        for block in walked_blocks(row, columns, case.w_shape[2], upwards=False)
    ]
    every_tap = range(case.w_shape[0] * case.w_shape[1])
    assert sorted(seen) == sorted((t, i, j) for t in every_tap for i, j in zip(*np.nonzero(exists), strict=True))
    places = {(row.column, row.phase_h, row.phase_w) for row in rows}
    assert len(places) == len(rows) == -(-case.w_shape[2] // columns) * case.strides[0] * case.strides[1]


@pytest.mark.parametrize("together", [1, 2, 3])
@pytest.mark.parametrize("case", DEEP, ids=lambda case: case.name)
def test_weight_gradient_computes_exactly_the_blocks_that_exist(case, together):
    blocks, taps = plan.weight_gradient_plan(
        case.visible, case.w_shape[:2], (128, 64, together), strides=case.strides, padding=case.padding
    )
    exists = blocks_that_exist(mask(case), 128, 64)
    all_taps = case.w_shape[0] * case.w_shape[1]
    seen = [
        (tap.weights, block.row // 128, block.column // 64)
        for block in blocks
        for tap in taps[block.tap : block.tap + together]
    ]
    assert set(seen) == {(t, i, j) for t in range(all_taps) for i, j in zip(*np.nonzero(exists), strict=True)}
    # Only a repeated last tap is seen again.
    assert len(seen) == exists.sum() * -(-all_taps // together) * together


@pytest.mark.parametrize(
    ("image", "pixels", "box"),
    [
        ((128, 28, 28), 128, (8, 4, 4)),
        ((128, 7, 7), 128, (128, 1, 1)),
        ((8, 32, 32), 128, (1, 4, 32)),
        ((1, 1, 10_000), 256, (1, 1, 256)),
    ],
)
def test_box_wastes_the_fewest_pixels(image, pixels, box):
    assert plan.choose_box(*image, pixels) == box


def test_box_never_exceeds_the_copy_engine():
    for image in ((1000, 1, 1), (1, 1000, 1), (3, 5, 7), (1, 1, 1)):
        box = plan.choose_box(*image, 256)
        assert np.prod(box) == 256
        assert max(box) <= 256


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (ConvTiling, {"rows": 192}, "rows must be 128 or 256, got 192"),
        (ConvTiling, {"columns": 96}, "columns must be 64, 128, 192 or 256, got 96"),
        (ConvTiling, {"stages": 1}, "stages must be at least 2, got 1"),
        (ConvTiling, {"stages": 5}, "shared memory"),
        (ConvTiling, {"columns": 256}, "at most 256 × 128"),
        (ConvTiling, {"waves": -1}, "waves must be 0 or more, got -1"),
        (WeightTiling, {"pixels": 32}, "pixels must be 64 or 128, got 32"),
        (WeightTiling, {"taps": 4}, "taps must be 1, 2 or 3, got 4"),
        (WeightTiling, {"taps": 2, "rows": 256}, "at most 3 × 128 × 128"),
        (WeightTiling, {"stages": 7}, "shared memory"),
        (WeightTiling, {"splits": -1}, "splits must be 0 or more, got -1"),
    ],
)
def test_illegal_tiles_are_refused(kind, change, message):
    with pytest.raises(ValueError, match=message):
        kind(**change)


def test_search_space_holds_the_heuristics():
    space = set(config.conv_search_space())
    for pixels in (64, 6_272, 100_352):
        for channels in (10, 64, 512, 1024):
            assert config.conv_heuristic(pixels, channels, multiprocessors=132) in space
            assert config.weight_heuristic(channels, taps=1) in set(config.weight_search_space())
            assert config.weight_heuristic(channels, taps=9) in set(config.weight_search_space())


def test_dealing_gives_every_item_once_and_evens_out_lengths():
    lengths = np.repeat(np.arange(144, 0, -18), 98)  # 1024 channels: 98 tiles of pixels, 8 block rows
    blocks = 132
    turns = -(-len(lengths) // blocks)
    hands = [[plan.dealt(turn, block, blocks) for turn in range(turns)] for block in range(blocks)]
    items = [item for hand in hands for item in hand if item < len(lengths)]
    assert sorted(items) == list(range(len(lengths)))
    loads = [sum(lengths[item] for item in hand if item < len(lengths)) for hand in hands]
    assert max(loads) <= 1.05 * np.mean(loads)


def test_splits_fill_the_gpu_without_needless_partial_sums():
    assert fill_splits(blocks=132, pixels=100_352, multiprocessors=132) == 1
    assert fill_splits(blocks=66, pixels=100_352, multiprocessors=132) == 2
    assert fill_splits(blocks=1, pixels=100_352, multiprocessors=132) == 32
    assert fill_splits(blocks=1000, pixels=256, multiprocessors=132) == 1


@pytest.mark.parametrize(
    ("conv", "weight"),
    [
        (ConvTiling(128, 256, 3), WeightTiling(256, 64, stages=4)),
        (ConvTiling(128, 192, 4, 0), WeightTiling(128, 256, stages=3, splits=5)),
        (ConvTiling(256, 64, 3, 2), WeightTiling()),
    ],
)
def test_other_tiles_lower_too(conv, weight):
    visible = tuple(200 * (k + 1) // 264 for k in range(264))
    case = Case("uneven", (8, 15, 14, 200), (3, 3, 200, 264), visible, (2, 1), ((1, 1), (0, 2)))
    for name, lowered in lower_products(case, conv, weight):
        assert "mosaic_gpu" in lowered.as_text(), name


def test_lowers_where_numbers_are_64_bits_wide():
    with jax.enable_x64(True):
        for name, lowered in lower_products(LAYERS[0]):
            assert "mosaic_gpu" in lowered.as_text(), name


def test_weights_past_the_staircase_without_blocks_give_zero_gradient():
    x, dy = jnp.ones((1, 4, 4, 8), jnp.bfloat16), jnp.ones((1, 4, 4, 8), jnp.bfloat16)
    dw = ops.weight_gradient(x, dy, (0,) * 8, w_shape=(1, 1, 8, 8), strides=(1, 1), padding=((0, 0), (0, 0)))
    assert dw.shape == (1, 1, 8, 8)
    assert dw.dtype == jnp.bfloat16
    assert not dw.any()


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU")
def test_refuses_to_run_without_a_gpu():
    x, w, _ = arrays(CASES[0], "bfloat16")
    with pytest.raises(NotImplementedError, match="needs a Hopper GPU, and the platform is cpu"):
        triangular_conv(x, w, CASES[0].visible, implementation="pallas_mosaic_gpu")


def test_refuses_float32():
    x, w, _ = arrays(CASES[0], "float32")
    with target_platform("gpu"), pytest.raises(NotImplementedError, match="must be bfloat16 or float16, got float32"):
        triangular_conv(x, w, CASES[0].visible, implementation="pallas_mosaic_gpu")


class FakeGpu:
    platform = "gpu"
    device_kind = "Fake GPU"

    def __init__(self, capability):
        self.compute_capability = capability


@pytest.mark.parametrize(("capability", "runs"), [("8.0", False), ("9.0", True), ("10.0", False), ("12.0", False)])
def test_only_hopper_has_the_instructions(monkeypatch, capability, runs):
    monkeypatch.setattr(jax, "devices", lambda: [FakeGpu(capability)])
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    x, w, _ = arrays(CASES[0], "bfloat16")
    reason = ops.unsupported(x, w, CASES[0].visible, strides=(1, 1), padding=((1, 1), (1, 1)))
    assert (reason is None) is runs
    assert runs or "compute capability 9" in reason


def kernels_in(layer, platform, implementation):
    """Returns whether a layer, built for a platform, holds a Hopper kernel."""
    x, w = (jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in (layer.x_shape, layer.w_shape))

    def conv(x, w):
        return triangular_conv(
            x, w, layer.visible, strides=layer.strides, padding=layer.padding, implementation=implementation
        )

    with target_platform(platform):
        return "block_row_product" in str(jax.make_jaxpr(conv)(x, w))


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_the_automatic_choice_never_takes_it(platform):
    for layer in LAYERS:
        assert not kernels_in(layer, platform, implementation=None)


def test_on_a_mesh_each_device_gets_its_own_images():
    devices = jax.device_count()
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))
    case = LAYERS[0]._replace(x_shape=(2 * devices, *LAYERS[0].x_shape[1:]))
    x, w, y = (
        jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=NamedSharding(mesh, PartitionSpec(*axes)))
        for shape, axes in ((case.x_shape, ("data",)), (case.w_shape, ()), (case.y_shape, ("data",)))
    )
    with target_platform("gpu"):
        run = jax.jit(products_of(case, "pallas_mosaic_gpu"))
        lowered = run.trace(x, w, y).lower(lowering_platforms=("cuda",)).as_text()
    calls = [line for line in lowered.splitlines() if "custom_call @mosaic_gpu" in line]
    assert [re.search(r": \(tensor<(\d+)x", call)[1] for call in calls] == ["2"] * 3
    assert lowered.count("stablehlo.all_reduce") == 1


def test_named_choice_takes_it():
    assert kernels_in(LAYERS[0], "gpu", implementation="pallas_mosaic_gpu")
