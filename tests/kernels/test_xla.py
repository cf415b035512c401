"""The XLA implementations and the automatic choice, on whatever platform the tests run."""

from unittest import mock

import jax
import pytest
from awn_kernels.shapes import find
from awn_kernels.xla import ops
from awn_kernels.xla.config import StaircaseConfig

from tests.kernels.oracle import Case
from tests.kernels.suite import CASES, MeshSuite, TriangularConvSuite, check


class TestReference(TriangularConvSuite):
    implementation = "reference"


class TestAutomaticChoice(TriangularConvSuite):
    implementation = None


class TestReferenceOnAMesh(MeshSuite):
    implementation = "reference"


class TestStaircaseOnAMesh(MeshSuite):
    implementation = "xla_staircase"


def configured(methods):
    """Cuts every layer into three blocks, whatever the heuristic would do, computed by the given methods."""
    return mock.patch.object(
        ops, "staircase_config", lambda product, *_: StaircaseConfig(3, methods.get(product, "convolution"))
    )


class TestStaircaseInBlocks(TriangularConvSuite):
    implementation = "xla_staircase"

    def context(self):
        return configured({})


class TestStaircaseInBlocksByOtherMethods(TriangularConvSuite):
    implementation = "xla_staircase"
    cases = tuple(case for case in CASES if case.name not in ("wide", "expansion", "projection", "ragged_rectangle"))

    def context(self):
        return configured({"forward": "taps", "input_gradient": "rows", "weight_gradient": "patches"})


@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("forward", ["dilated", "rows"])
def test_forms_for_some_widths_match_the_definition(forward, strides):
    padding = ((1, 0), (0, 2))
    case = Case(forward, (16, 5, 6, 32), (3, 2, 32, 48), tuple(2 * (k + 1) // 3 for k in range(48)), strides, padding)

    def config(product, *_):
        return StaircaseConfig(2, forward if product == "forward" else "dilated", multiple=16)

    with mock.patch.object(ops, "staircase_config", config):
        check(case, "float32", "xla_staircase")


@pytest.mark.parametrize("implementation", ["reference", "xla_staircase", None])
def test_float64(implementation):
    with jax.enable_x64(True):
        check(CASES[0], "float64", implementation)


@pytest.mark.parametrize("change", [{"blocks": 0}, {"blocks": -1}, {"multiple": 0}])
def test_bad_configurations_are_named(change):
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got {value}"):
        StaircaseConfig(**change)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="a library of XLA's CPU backend")
def test_no_block_is_left_to_the_library_that_runs_it_on_one_core():
    shape = find("resnet_256")

    def products(x, w):
        y, transpose = jax.vjp(shape.conv, x, w)
        return y, *transpose(y)

    arguments = shape.arguments(batch=16)
    compiled = jax.jit(products).lower(*arguments).compile().as_text()
    plain = jax.jit(lambda x, w: shape.conv(x, w, "reference")).lower(*arguments).compile().as_text()
    assert "ynn" in plain
    assert "ynn" not in compiled
