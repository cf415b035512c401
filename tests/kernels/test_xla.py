"""The XLA implementations and the automatic choice, on whatever platform the tests run."""

import jax
import pytest

from tests.kernels.suite import CASES, TriangularConvSuite, check


class TestReference(TriangularConvSuite):
    implementation = "reference"


class TestStaircase(TriangularConvSuite):
    implementation = "xla_staircase"


class TestAutomaticChoice(TriangularConvSuite):
    implementation = None


@pytest.mark.parametrize("implementation", ["reference", "xla_staircase", None])
def test_float64(implementation):
    with jax.enable_x64(True):
        check(CASES[0], "float64", implementation)
