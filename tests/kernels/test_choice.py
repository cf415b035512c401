"""What runs where nothing is named: the implementation, and how the staircase is cut into blocks."""

import jax
import pytest
from awn_kernels import choice, staircase, target_platform
from awn_kernels.shapes import SHAPES
from awn_kernels.xla.config import staircase_config

from tests.kernels.suite import triangle


def blocks_of(product, channels):
    """Returns the lengths of a triangle's blocks, and the multiply-accumulates per tap and pixel that they spend."""
    visible = triangle(channels)
    config = staircase_config(product, (3, 3, channels, channels), visible, (1, 1))
    if product == "input_gradient":
        rows = staircase.block_rows(visible, config.blocks, config.multiple)
        return [row.stop - row.start for row in rows], sum((row.stop - row.start) * row.depth for row in rows)
    columns = staircase.block_columns(visible, channels, config.blocks, config.multiple)
    return [column.stop - column.start for column in columns], staircase.visited_macs(columns, channels)


@pytest.mark.parametrize("product", ["forward", "input_gradient", "weight_gradient"])
class TestBlocks:
    def test_dense_layers_are_never_cut(self, product):
        assert staircase_config(product, (3, 3, 512, 512), (512,) * 512, (1, 1)).blocks == 1

    @pytest.mark.parametrize(("channels", "share"), [(128, 0.63), (256, 0.57), (512, 0.57), (1024, 0.57)])
    def test_wide_layers_skip_nearly_half(self, product, channels, share):
        _, spent = blocks_of(product, channels)
        assert spent <= share * channels**2

    @pytest.mark.parametrize("channels", [130, 136, 200, 452])
    def test_blocks_of_uneven_layers_are_whole_vectors(self, product, channels):
        lengths, _ = blocks_of(product, channels)
        assert len(lengths) > 1
        assert all(length % 16 == 0 for length in lengths[:-1])

    def test_strided_input_gradients_stay_whole(self, product):
        blocks = staircase_config(product, (3, 3, 256, 256), triangle(256), (2, 2)).blocks
        assert (blocks == 1) is (product == "input_gradient")


class TestHeuristics:
    def test_an_accelerators_own_kernels_are_taken_by_name_alone(self):
        for channels in (45, 1023, 1024):
            assert choice.implementation("gpu", (3, 3, channels, channels)) == "reference"
        assert choice.implementation("tpu", (3, 3, 1023, 1024)) == "reference"
        assert choice.implementation("tpu", (3, 3, 1024, 1024)) == "xla_staircase"

    def test_narrow_layers_stay_whole(self):
        assert staircase_config("forward", (3, 3, 45, 45), triangle(45), (1, 1)).blocks == 1

    def test_names_an_implementation_that_runs_on_every_platform(self):
        assert choice.implementation("cpu", (3, 3, 3, 4)) == "xla_staircase"
        for platform in ("cpu", "gpu", "tpu"):
            for shape in SHAPES:
                with target_platform(platform):
                    y = jax.eval_shape(shape.conv, *shape.arguments())
                assert y.shape == (shape.batch, shape.out_size, shape.out_size, shape.out_channels)
