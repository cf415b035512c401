"""The XLA implementations and the automatic choice, on whatever platform the tests run."""

from unittest import mock

import jax
import pytest

from kernels import heuristics
from kernels.config import StaircaseConfig
from tests.kernels.suite import CASES, TriangularConvSuite, check


class TestReference(TriangularConvSuite):
    implementation = "reference"


class TestAutomaticChoice(TriangularConvSuite):
    implementation = None


def configured(methods):
    """Cuts every layer into three blocks, whatever the heuristic would do, computed by the given methods."""
    return mock.patch.object(
        heuristics, "staircase_config", lambda product, *_: StaircaseConfig(3, methods.get(product, "convolution"))
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


@pytest.mark.parametrize("implementation", ["reference", "xla_staircase", None])
def test_float64(implementation):
    with jax.enable_x64(True):
        check(CASES[0], "float64", implementation)


@pytest.mark.parametrize("blocks", [0, -1])
def test_bad_configurations_are_named(blocks):
    with pytest.raises(ValueError, match=f"blocks must be at least 1, got {blocks}"):
        StaircaseConfig(blocks)
