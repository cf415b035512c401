"""Named layers: their births are those of the networks, at every width."""

import jax
import pytest
from awn_kernels.bench.gpu.layers import KEY_LAYERS, NETWORK_LAYER, OTHER_LAYERS
from awn_kernels.shapes import SHAPES, at_widths, find

from awn_jax import widths
from awn_jax.widths import Axis

LAYERS = (*SHAPES, *KEY_LAYERS, *OTHER_LAYERS, NETWORK_LAYER)


def axes(shape):
    """The inputs and outputs as the networks make them: the kernels, a library of their own, count births by themselves."""
    if shape.whole_input:
        return Axis.whole(shape.in_channels), Axis.of(shape.out_channels)
    if shape.expansion is None:
        return Axis.of(shape.in_channels), Axis.of(shape.out_channels)
    narrow = Axis.of(min(shape.in_channels, shape.out_channels))
    hidden = narrow.expand(shape.expansion)
    return (narrow, hidden) if shape.in_channels < shape.out_channels else (hidden, narrow)


@pytest.mark.parametrize("shape", LAYERS, ids=lambda shape: shape.name)
def test_births_are_those_of_the_networks(shape):
    inputs, outputs = axes(shape)
    assert shape.visible == widths.visible_inputs(inputs, outputs)
    for percent in range(1, 101):
        narrow = shape.at_width(percent / 100)
        active = inputs.active(percent / 100), outputs.active(percent / 100)
        assert (narrow.in_channels, narrow.out_channels) == active, percent


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_width_is_a_prefix(shape):
    for narrow in at_widths(shape):
        assert narrow.visible == shape.visible[: narrow.out_channels]
        assert jax.eval_shape(narrow.conv, *narrow.arguments()).shape == narrow.y_shape


@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("shape", [shape for shape in LAYERS if not shape.whole_input], ids=lambda shape: shape.name)
def test_the_ordinary_layer_has_as_many_weights(shape, multiple):
    ordinary = shape.ordinary(multiple)
    assert ordinary.y_shape[:3] == shape.y_shape[:3]
    assert sum(ordinary.visible) == ordinary.in_channels * ordinary.out_channels
    assert sum(ordinary.visible) == pytest.approx(sum(shape.visible), rel=0.04 if multiple == 1 else 0.12)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no shape is named 'alexnet', the names are"):
        find("alexnet")
