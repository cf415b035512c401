"""What every implementation must do: subclass `TriangularConvSuite`, name the implementation, run pytest."""

import contextlib
import functools
import re
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from awn_kernels import triangular_conv
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tests.kernels import oracle
from tests.kernels.oracle import Case

SAME3 = ((1, 1), (1, 1))


def triangle(channels):
    return tuple(range(1, channels + 1))


CASES = (
    Case("triangle", (2, 4, 5, 11), (3, 3, 11, 11), triangle(11), padding=SAME3),
    Case("triangle_valid", (2, 4, 5, 11), (3, 3, 11, 11), triangle(11)),
    Case("strided", (2, 5, 6, 11), (3, 3, 11, 11), triangle(11), (2, 2), SAME3),
    Case("uneven_stride_and_padding", (1, 5, 8, 5), (3, 2, 5, 7), (1, 1, 2, 3, 4, 4, 5), (1, 3), ((2, 0), (1, 3))),
    Case("padding_past_kernel", (2, 4, 4, 3), (2, 2, 3, 4), (1, 2, 3, 3), padding=((2, 0), (3, 0))),
    Case("stride_past_kernel", (2, 4, 4, 5), (1, 1, 5, 5), triangle(5), (2, 2)),
    Case("kernel_5x5", (1, 6, 6, 9), (5, 5, 9, 9), triangle(9)),
    Case("expansion", (2, 3, 3, 6), (1, 1, 6, 36), tuple(k // 6 + 1 for k in range(36))),
    Case("projection", (2, 3, 3, 36), (1, 1, 36, 6), tuple(6 * (k + 1) for k in range(6))),
    Case("ragged_rectangle", (1, 5, 5, 34), (1, 1, 34, 51), tuple((2 * (k + 1)) // 3 for k in range(51))),
    Case("grouped", (2, 3, 3, 16), (3, 3, 16, 16), tuple(4 * (k // 4 + 1) for k in range(16)), padding=SAME3),
    Case("one_step", (2, 3, 3, 8), (3, 3, 8, 8), (4,) * 8, padding=SAME3),
    Case("dense", (2, 3, 3, 8), (3, 3, 8, 9), (8,) * 9, padding=SAME3),
    Case("single_channel", (2, 4, 4, 1), (3, 3, 1, 5), (1,) * 5),
    Case("single_output", (2, 4, 4, 3), (3, 3, 3, 1), (2,)),
    Case("blind_outputs", (2, 3, 3, 4), (3, 3, 4, 6), (0, 0, 1, 2, 4, 4), padding=SAME3),
    Case("matmul", (13, 1, 1, 45), (1, 1, 45, 45), triangle(45)),
    Case("wide", (1, 3, 3, 136), (3, 3, 136, 200), tuple(136 * (k + 1) // 200 for k in range(200)), padding=SAME3),
)


def arrays(case, dtype):
    """Returns seeded (x, w, dy); w is garbage, large but finite, past the staircase."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    x, w, dy = (rng.standard_normal(shape) for shape in (case.x_shape, case.w_shape, case.y_shape))
    w = np.where(oracle.mask(case), w, 1e4)
    return tuple(jnp.asarray(a.astype(jnp.dtype(dtype))) for a in (x, w, dy))


def fast_compile(function, **options):
    """Returns `jax.jit(function, **options)`, on a CPU with half the time to compile."""
    flags = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else {}
    return jax.jit(function, compiler_options=flags, **options)


def products_of(case, implementation):
    """Returns (x, w, dy) -> (y, dx, dw) of one case."""

    def run(x, w, dy):
        def conv(x, w):
            return triangular_conv(
                x, w, case.visible, strides=case.strides, padding=case.padding, implementation=implementation
            )

        y, transpose = jax.vjp(conv, x, w)
        return y, *transpose(dy)

    return run


def check(case, dtype, implementation):
    """Asserts forward and both gradients of one case, elementwise within rounding of the exact result."""
    given = arrays(case, dtype)
    with jax.default_matmul_precision("highest"):
        got = fast_compile(products_of(case, implementation))(*given)
    check_numbers(case, dtype, given, got)


def check_numbers(case, dtype, given, got):
    """Asserts that `got`, (y, dx, dw), is what `given`, (x, w, dy), makes it, up to rounding."""
    bounds = oracle.bounds(case, *given, dtype, accumulator="float64" if dtype == "float64" else "float32")
    for name, a, exact, bound in zip(
        ("forward", "input gradient", "weight gradient"), got, oracle.products(case, *given), bounds, strict=True
    ):
        assert a.dtype == dtype, f"{name} has dtype {a.dtype}"
        error = np.abs(np.asarray(a, np.float64) - exact)
        assert (error <= bound).all(), f"{name} is off by {np.max(error - bound)} more than rounding explains"


class NumbersSuite:
    """The shared tests that every dtype must pass.

    Subclasses set `implementation` (None for the automatic choice), and may narrow `supports` to what the backend
    promises: whatever it excludes must then raise `NotImplementedError`. `context` surrounds every call, for interpret
    modes; `cases` and `dtypes` may be fewer where another class has the rest.
    """

    implementation: str | None
    cases = CASES
    dtypes = ("float32", "bfloat16")

    def context(self):
        return contextlib.nullcontext()

    def supports(self, case, dtype):
        return True

    @pytest.fixture(autouse=True)
    def _in_context(self):
        with self.context():
            yield

    def pytest_generate_tests(self, metafunc):
        if "dtype" in metafunc.fixturenames:
            metafunc.parametrize("dtype", self.dtypes)
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", self.cases, ids=lambda case: case.name)

    def test_matches_definition(self, case, dtype):
        if self.supports(case, dtype):
            check(case, dtype, self.implementation)
        else:
            with pytest.raises(NotImplementedError, match="cannot run"):
                check(case, dtype, self.implementation)

    def test_weights_past_the_staircase_are_never_read(self, dtype):
        case = CASES[0]
        x, w, _ = arrays(case, dtype)

        @fast_compile
        def gradients(x, w):
            def loss(x, w):
                y = triangular_conv(x, w, case.visible, padding=case.padding, implementation=self.implementation)
                return jnp.sum(jnp.sin(y.astype(jnp.float32)))

            return jax.grad(loss, (0, 1))(x, w)

        inside = oracle.mask(case)
        fills = (np.where(inside, w, np.asarray(fill, w.dtype)) for fill in (0.0, 1e30))
        clean, garbage = (gradients(x, filled) for filled in fills)
        for a, b in zip(clean, garbage, strict=True):
            np.testing.assert_array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32))
        dw = np.asarray(clean[1], np.float32)
        assert (dw[:, :, ~inside] == 0).all()
        assert (dw[:, :, inside] != 0).all()


class TriangularConvSuite(NumbersSuite):
    """All shared tests: these further ones run in float32 alone."""

    def test_narrow_width_is_a_prefix_of_full_width(self):
        case = CASES[0]
        x, w, _ = map(np.asarray, arrays(case, "float32"))

        @functools.partial(fast_compile, static_argnums=2)
        def layer(x, w, visible):
            return triangular_conv(x, w, visible, padding=case.padding, implementation=self.implementation)

        narrow = layer(x[..., :4], w[:, :, :4, :4], case.visible[:4])
        np.testing.assert_allclose(np.asarray(layer(x, w, case.visible))[..., :4], narrow, rtol=1e-5, atol=1e-5)

    def test_runs_inside_scan(self):
        case = CASES[0]
        x, w, _ = arrays(case, "float32")

        def layer(x, _):
            y = triangular_conv(x, w / 1e4, case.visible, padding=case.padding, implementation=self.implementation)
            return y, None

        scanned, _ = fast_compile(lambda x: jax.lax.scan(layer, x, length=2))(x)
        once = fast_compile(layer)
        np.testing.assert_allclose(scanned, once(once(x, 0)[0], 0)[0], rtol=1e-5, atol=1e-12)


class MeshSuite:
    """What every implementation must do with images that are split over a mesh; attributes are those of `NumbersSuite`."""

    implementation: str | None
    dtype = "float32"

    def context(self):
        return contextlib.nullcontext()

    @pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=lambda kind: kind.name)
    def test_each_device_computes_its_own_images(self, kind):
        devices = jax.device_count()
        mesh = jax.make_mesh((devices,), ("data",), axis_types=(kind,))
        case = Case("split", (2 * devices, 4, 5, 11), (3, 3, 11, 11), triangle(11), (2, 1), SAME3)
        given = arrays(case, self.dtype)
        split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))
        placed = jax.device_put(given, (split, whole, split))
        with self.context(), jax.default_matmul_precision("highest"):
            compiled = fast_compile(products_of(case, self.implementation)).lower(*placed).compile()
            got = compiled(*placed)
        check_numbers(case, self.dtype, given, got)
        for array, where in zip(got, (split, split, whole), strict=True):
            assert array.sharding.is_equivalent_to(where, 4)
        # What travels between devices is the weight gradient, never an image.
        travels = re.findall(r" (all-gather|all-to-all|collective-permute|all-reduce)[a-z-]*\(", compiled.as_text())
        assert set(travels) == {"all-reduce"}
