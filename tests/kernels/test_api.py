"""The public ops: checks, dispatch, matrix product, transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from awn_kernels import IMPLEMENTATIONS, api, target_platform, triangular_conv, triangular_matmul
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels import oracle
from tests.kernels.suite import check, triangle

X, W = jnp.ones((2, 5, 5, 3)), jnp.ones((3, 3, 3, 4))
VISIBLE = (1, 2, 3, 3)
NHWC = ("NHWC", "HWIO", "NHWC")


@st.composite
def layers(draw):
    in_channels, out_channels = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    kernel, strides = (
        draw(st.sampled_from([(1, 1), (3, 3), (2, 3), (2, 2)])),
        draw(st.sampled_from([(1, 1), (2, 2), (1, 2)])),
    )
    pads = st.tuples(st.integers(0, 3), st.integers(0, 3))
    visible = sorted(draw(st.lists(st.integers(0, in_channels), min_size=out_channels, max_size=out_channels)))
    return oracle.Case(
        "drawn",
        (2, 5, 4, in_channels),
        (*kernel, in_channels, out_channels),
        tuple(visible),
        strides,
        (draw(pads), draw(pads)),
    )


@settings(max_examples=10)
@given(layers(), st.sampled_from(["xla_staircase", None]), st.sampled_from(["float32", "bfloat16"]))
def test_any_staircase_matches_the_definition(case, implementation, dtype):
    check(case, dtype, implementation)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"w": jnp.ones((3, 3, 2, 4))}, ValueError, "x has 3 channels .* w reads 2"),
        ({"w": jnp.ones((3, 3, 3, 0)), "visible": ()}, ValueError, "w must have no empty dimension"),
        ({"w": W.astype("bfloat16")}, TypeError, "one dtype, got float32 and bfloat16"),
        ({"visible": (3, 2, 3, 3)}, ValueError, "must not decrease"),
        ({"visible": (1, 2, 3, 4)}, ValueError, r"visible\[3\] = 4"),
        ({"w": W.astype("float8_e4m3fn"), "x": X.astype("float8_e4m3fn")}, TypeError, "floats of 16 bits or more"),
        ({"strides": 0}, ValueError, "strides must be one or two positive integers, got 0"),
        ({"padding": ((-1, 0), (0, 0))}, ValueError, "padding must hold two pairs"),
        ({"padding": "VALID", "x": X[:, :2]}, ValueError, "smaller than the kernel of 3"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {"x": X, "w": W, "visible": VISIBLE} | change
    with pytest.raises(error, match=message):
        triangular_conv(**arguments)


def unchecked(function):
    """The function as users call it, without the tests' check of types."""
    return getattr(function, "__wrapped__", function)


def test_names_the_implementations_there_are():
    with pytest.raises(ValueError, match="None or one of"):
        unchecked(triangular_conv)(X, W, VISIBLE, implementation="cudnn")


@pytest.mark.parametrize("strides", [2.0, (1.5, 2), (1, 2, 3), "22"])
def test_strides_of_another_kind_are_named(strides):
    with pytest.raises(ValueError, match="strides must be one or two positive integers, got"):
        unchecked(api._normalise_strides)(strides)
    assert unchecked(api._normalise_strides)(np.int64(2)) == (2, 2)


@pytest.mark.parametrize("padding", [1, (1, 1), ((0.5, 1), (1, 1)), ((1, 1, 1), (1, 1)), ((1, 1),)])
def test_padding_of_another_kind_is_named(padding):
    with pytest.raises(ValueError, match="padding must hold two pairs of integers of at least 0, got"):
        unchecked(api._normalise_padding)(padding, (5, 5), (3, 3), (1, 1))


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((1, 0), (2, 1))])
@pytest.mark.parametrize("strides", [1, (2, 1)])
def test_padding_and_strides_mean_what_they_mean_to_lax(padding, strides):
    rng = np.random.default_rng(0)
    x, w = (jnp.asarray(rng.standard_normal(a.shape), a.dtype) for a in (X, W))
    inside = np.arange(3)[:, None] < np.asarray(VISIBLE)
    pair = (strides, strides) if isinstance(strides, int) else strides
    expected = jax.lax.conv_general_dilated(x, jnp.where(inside, w, 0), pair, padding, dimension_numbers=NHWC)
    actual = triangular_conv(x, w, VISIBLE, strides=strides, padding=padding)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("leading", [(), (5,), (2, 3)])
@pytest.mark.parametrize("implementation", ["reference", "xla_staircase", None])
def test_matmul(leading, implementation):
    rng = np.random.default_rng(0)
    x, w = (
        jnp.asarray(rng.standard_normal((*leading, 45)), "float32"),
        jnp.asarray(rng.standard_normal((45, 45)), "float32"),
    )
    y = triangular_matmul(x, w, triangle(45), implementation=implementation)
    np.testing.assert_allclose(y, x @ jnp.triu(w), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("implementation", ["reference", "xla_staircase"])
def test_a_gradient_of_a_gradient(implementation, float64):
    x, w = X[:1, :3, :3, :2].astype("float64"), jnp.ones((2, 2, 2, 2))

    def slope(x, implementation):
        def loss(x):
            return jnp.sum(jnp.sin(triangular_conv(x, w, (1, 2), implementation=implementation)))

        return jnp.sum(jax.grad(loss)(x) ** 2)

    inside = w.at[:, :, 1, 0].set(0)  # the second input, to the first output

    def expected(x):
        def loss(x):
            return jnp.sum(jnp.sin(jax.lax.conv_general_dilated(x, inside, (1, 1), "SAME", dimension_numbers=NHWC)))

        return jnp.sum(jax.grad(loss)(x) ** 2)

    found = jax.jit(jax.grad(slope), static_argnums=1)(x, implementation)
    np.testing.assert_allclose(found, jax.jit(jax.grad(expected))(x), rtol=1e-10)


def test_named_implementations_that_cannot_run_say_why():
    for implementation in ("pallas_tpu", "pallas_mosaic_gpu"):
        assert implementation in IMPLEMENTATIONS
        with target_platform("cpu"), pytest.raises(NotImplementedError, match=f'"{implementation}" cannot'):
            triangular_conv(X, W, VISIBLE, implementation=implementation)
