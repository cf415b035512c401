"""The Hopper kernels' numbers and synchronisation, interpreted on the CPU. Needs JAX 0.12, hence Python 3.12."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from awn_kernels import triangular_conv, triangular_matmul
from awn_kernels.bench.gpu import check as check_bench
from awn_kernels.bench.gpu import search
from awn_kernels.bench.gpu.layers import TINY_LAYERS
from awn_kernels.mosaic_gpu import ops, shared
from awn_kernels.mosaic_gpu.config import ConvTiling, WeightTiling
from awn_kernels.mosaic_gpu.shared import interpret_mode
from awn_kernels.timing import Deadline
from jax.experimental.pallas import mosaic_gpu as plgpu

from tests.kernels import oracle
from tests.kernels.suite import CASES, TriangularConvSuite, arrays, check

if not hasattr(plgpu, "force_gpu_interpret_mode"):
    pytest.skip("GPU interpret mode needs JAX 0.12", allow_module_level=True)

interpreter = pytest.importorskip("jax._src.pallas.mosaic_gpu.interpret.interpret_pallas_call")

BY_NAME = {case.name: case for case in CASES}


@pytest.fixture(autouse=True)
def _reset_interpreter():
    """An exception inside a kernel leaves the interpreter's state behind."""
    yield
    interpreter.reset_gpu_interpret_mode_state()


class TestHopper(TriangularConvSuite):
    implementation = "pallas_mosaic_gpu"
    dtypes = ("bfloat16",)

    def context(self):
        return interpret_mode()

    # The shared versions of these two run in float32, which the kernels refuse.
    def test_narrow_width_is_a_prefix_of_full_width(self):
        case = CASES[0]
        x, w, _ = arrays(case, "bfloat16")
        full = triangular_conv(x, w, case.visible, padding=case.padding, implementation=self.implementation)
        narrow = triangular_conv(
            x[..., :4], w[:, :, :4, :4], case.visible[:4], padding=case.padding, implementation=self.implementation
        )
        np.testing.assert_array_equal(np.asarray(full[..., :4], np.float32), np.asarray(narrow, np.float32))

    def test_runs_inside_scan(self):
        case = CASES[0]
        x, w, _ = arrays(case, "bfloat16")

        def layer(x, _):
            return triangular_conv(
                x, w / 1e4, case.visible, padding=case.padding, implementation=self.implementation
            ), None

        scanned, _ = jax.lax.scan(layer, x, length=2)
        twice = layer(layer(x, 0)[0], 0)[0]
        np.testing.assert_array_equal(np.asarray(scanned, np.float32), np.asarray(twice, np.float32))


def products_with(case, conv, weight):
    """Returns (y, dx, dw) computed with the given tiles, and their exact values and bounds."""
    x, w, dy = arrays(case, "bfloat16")
    shared_arguments = {"strides": case.strides, "padding": case.padding}
    with interpret_mode():
        got = (
            ops.forward(x, w, case.visible, config=conv, **shared_arguments),
            ops.input_gradient(dy, w, case.visible, x_shape=case.x_shape, config=conv, **shared_arguments),
            ops.weight_gradient(x, dy, case.visible, w_shape=case.w_shape, config=weight, **shared_arguments),
        )
    return got, oracle.products(case, x, w, dy), oracle.bounds(case, x, w, dy, "bfloat16")


@pytest.mark.parametrize(
    ("conv", "weight"),
    [
        (ConvTiling(256, 64, 2, waves=0), WeightTiling(256, 64, stages=2, splits=1)),
        (ConvTiling(128, 192, 3, waves=2), WeightTiling(128, 128, 128, taps=2, stages=2, splits=3)),
    ],
)
def test_every_kind_of_tile_gives_the_same_numbers(conv, weight):
    case = BY_NAME["wide"]._replace(x_shape=(1, 13, 24, 136), strides=(2, 1))
    for a, exact, bound in zip(*products_with(case, conv, weight), strict=True):
        assert (np.abs(np.asarray(a, np.float64) - exact) <= bound).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_matmul_takes_any_leading_shape(dtype):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((3, 5, 40)), dtype)
    w = jnp.asarray(rng.standard_normal((40, 24)), dtype)
    visible = tuple(-(-40 * (k + 1) // 24) for k in range(24))
    with interpret_mode():
        y = triangular_matmul(x, w, visible, implementation="pallas_mosaic_gpu")
    exact = np.asarray(x, np.float64) @ np.where(np.arange(40)[:, None] < np.array(visible), np.asarray(w), 0)
    assert y.dtype == dtype
    np.testing.assert_allclose(np.asarray(y, np.float64), exact, rtol=float(jnp.finfo(dtype).eps), atol=1e-4)


def test_search_checks_and_times_tiles():
    layer = TINY_LAYERS[1]
    with interpret_mode():
        found = search.search("forward", layer, check_bench.exact(layer), Deadline(60.0), limit=1, threads=1)
    assert [f.note for f in found] == ["", ""]
    assert 0 < found[0].seconds <= found[1].seconds < float("inf")


def test_no_copy_races_with_a_reader():
    with interpret_mode(detect_races=True):
        check(BY_NAME["wide"], "bfloat16", "pallas_mosaic_gpu")


def test_race_detector_sees_a_slot_that_is_refilled_too_early(monkeypatch):
    monkeypatch.setattr(shared.Ring, "acquire", lambda ring, step: ring.slot(step))
    monkeypatch.setattr(shared.Ring, "drain", lambda ring, steps: None)
    monkeypatch.setattr(shared.Ring, "release", lambda ring, step: None)
    case = BY_NAME["wide"]
    x, w, _ = arrays(case, "bfloat16")
    with interpret_mode(detect_races=True), pytest.raises(jax.errors.JaxRuntimeError, match="RACE DETECTED"):
        ops.forward(x, w, case.visible, strides=case.strides, padding=case.padding).block_until_ready()
