"""Births are exact, and everything else follows from them."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from awn_jax import widths
from awn_jax.widths import Axis


@given(channels=st.integers(1, 4000), percent=st.integers(1, 100))
def test_active_is_the_nearest_whole_number_ties_down(channels, percent):
    width = Fraction(percent, 100)
    expected = max(1, math.ceil(width * channels - Fraction(1, 2)))
    assert Axis.of(channels).active(width) == expected
    assert Axis.of(channels).active(percent / 100) == expected


@pytest.mark.parametrize(("channels", "expected"), [(32, [8, 16, 24, 32]), (45, [11, 22, 34, 45])])
def test_papers_four_widths(channels, expected):
    assert [Axis.of(channels).active(width) for width in (0.25, 0.5, 0.75, 1)] == expected


@given(st.integers(1, 600), st.integers(1, 600), st.integers(1, 7), st.integers(1, 7))
def test_visible_inputs_are_those_born_no_later(inputs, outputs, group_in, group_out):
    first, second = Axis.of(inputs, group_in), Axis.of(outputs, group_out)
    visible = widths.visible_inputs(first, second)
    for s in {0, outputs // 2, outputs - 1}:
        assert visible[s] == sum(first.birth(t) <= second.birth(s) for t in range(inputs))


@pytest.mark.parametrize(("inputs", "outputs"), [(1810, 453), (96, 576), (452, 1810), (34, 204), (45, 45)])
def test_an_active_output_never_needs_an_input_that_is_not_active(inputs, outputs):
    first, second = Axis.of(inputs), Axis.of(outputs)
    visible = widths.visible_inputs(first, second)
    for births in (first, second):
        for channel in range(births.channels):
            width = births.birth(channel) + Fraction(1, 10**9)
            assert visible[second.active(width) - 1] <= first.active(width)


def test_square_mask_is_the_triangle_with_its_diagonal():
    axis = Axis.of(45)
    np.testing.assert_array_equal(widths.mask(axis, axis), np.triu(np.ones((45, 45), bool)))


def test_expanded_channels_are_born_with_their_channel():
    axis = Axis.of(34)
    expanded = axis.expand(6)
    assert widths.visible_inputs(axis, expanded) == tuple(h // 6 + 1 for h in range(204))
    for width in (0.25, 0.5, 0.75, 1):
        assert expanded.active(width) == 6 * axis.active(width)


def test_groups_of_a_quarter_make_four_widths():
    axis = Axis.of(64, group=16)
    assert {axis.active(percent / 100) for percent in range(1, 101)} == {16, 32, 48, 64}
    assert [axis.active(width) for width in (0.25, 0.5, 0.75, 1)] == [16, 32, 48, 64]


@given(st.integers(1, 300), st.integers(1, 5), st.integers(1, 100), st.integers(1, 100))
def test_a_core_sees_itself_and_changes_no_wider_network(channels, group, core, percent):
    plain, axis = Axis.of(channels, group), Axis.of(channels, group, core / 100)
    first = plain.active(core / 100)
    visible = widths.visible_inputs(axis, axis)
    assert visible[:first] == (first,) * first
    assert visible[first:] == widths.visible_inputs(plain, plain)[first:]
    assert axis.active(percent / 100) == plain.active(max(core, percent) / 100)


@given(st.integers(1, 500), st.integers(1, 64), st.integers(1, 4), st.integers(0, 100))
def test_a_grid_has_common_births_and_the_channels_of_a_network_without_one(channels, grid, group, core):
    plain, axis = Axis.of(channels, group, core / 100), Axis.of(channels, group, core / 100, grid)
    assert axis.denominator == grid
    for step in range(1, grid + 1):
        width = Fraction(step, grid)
        if width >= Fraction(core, 100):
            assert axis.active(width) == plain.active(width)
        # Nothing is born between two moments of the grid.
        assert axis.active(width - Fraction(1, 10**6)) == axis.active(width)


def test_a_grid_bounds_the_sub_networks_of_any_network():
    axes = [Axis.of(channels, grid=32) for channels in (45, 136, 34, 1810)]
    assert len(widths.distinct_widths(axes, 0.25)) == 25
    assert len(widths.distinct_widths([Axis.of(c) for c in (45, 136, 34, 1810)], 0.25)) > 1000


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 5)), min_size=2, max_size=4), st.integers(1, 100))
def test_merged_axes_have_the_channels_of_all(sizes, percent):
    axes = [Axis.of(channels, group) for channels, group in sizes]
    axis, order = widths.merged(axes)
    assert sorted(order) == list(range(sum(axis.channels for axis in axes)))
    assert axis.active(Fraction(percent, 100)) == sum(one.active(Fraction(percent, 100)) for one in axes)


@given(st.integers(1, 300), st.lists(st.integers(1, 1000), min_size=1, max_size=9))
def test_many_widths_at_once_are_each_by_itself(channels, thousandths):
    axis = Axis.of(channels)
    at = [Fraction(n, 1000) for n in thousandths]
    assert axis.active_at(at).tolist() == [axis.active(width) for width in at]


def test_the_last_width_of_a_sub_network_gives_the_same_one():
    axes = [Axis.of(8), Axis.of(5)]
    for width, last in zip((0.3, 0.5, 1.0), widths.last_of(axes, (0.3, 0.5, 1.0)), strict=True):
        assert [a.active(width) for a in axes] == [a.active(last) for a in axes]
        assert last == 1 or [a.active(last + Fraction(1, 999)) for a in axes] != [a.active(last) for a in axes]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_an_axis_has_the_channels_that_are_counted(counts):
    axis, moments = Axis.counted(counts), len(counts)
    for k in range(1, moments + 1):
        assert axis.active(Fraction(k, moments)) == max(counts[:k])
        assert axis.active(Fraction(2 * k - 1, 2 * moments)) == max(counts[:k])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.sampled_from([None, 4, 7]))
def test_a_concatenation_has_the_channels_of_the_axis_that_it_is_to_be(part, rest, group, grid):
    whole, part = Axis.of(part + rest, group, grid=grid), Axis.of(part, group, grid=grid)
    lacking = whole.without(part)
    joined, _ = widths.merged([lacking, part])
    at = widths.distinct_widths([whole, part], 1e-4)
    lacks = (whole.active_at(at) - part.active_at(at))[::-1]
    expected = np.maximum(np.minimum.accumulate(lacks)[::-1], 1) + part.active_at(at)
    np.testing.assert_array_equal(joined.active_at(at), expected)
    assert joined.channels == whole.channels


def test_whole_axis_is_read_by_every_output():
    image = Axis.whole(3)
    assert image.active(0.01) == 3
    assert set(widths.visible_inputs(image, Axis.of(45))) == {3}


def test_distinct_widths_name_every_sub_network_once():
    axes = [Axis.of(45), Axis.of(32)]
    at = widths.distinct_widths(axes, 0.25)
    networks = [tuple(axis.active(width) for axis in axes) for width in at]
    dense = [tuple(axis.active(Fraction(i, 20000)) for axis in axes) for i in range(5000, 20001)]
    assert networks == list(dict.fromkeys(dense))
    assert at[0] == 0.25
    assert at[-1] == 1
    assert len(widths.distinct_widths([Axis.of(45)], 0.25)) == 35
    assert widths.distinct_widths([Axis.whole(3)], 0.25) == (1.0,)


def test_a_float_width_means_the_decimal_that_it_prints():
    # 0.55 as a float is a little above 11/20, which would make the tenth of ten channels' neighbour active.
    assert Axis.of(10).active(0.55) == Axis.of(10).active(Fraction(11, 20)) == 5


@pytest.mark.parametrize("width", [0, -0.5, 1.0001, 2, float("nan"), float("inf")])
def test_a_width_outside_its_range_is_refused(width):
    with pytest.raises(ValueError, match=r"width must be .*\(0, 1\]"):
        widths.exact_width(width)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Axis.of(0), "channels must be at least 1, got 0"),
        (lambda: Axis.of(8, 0), "group must be at least 1, got 0"),
        (lambda: Axis.of(8, grid=0), "grid must be from 1 to 65536, or None, got 0"),
        (lambda: Axis.of(8, grid=1 << 20), "grid must be from 1 to 65536, or None, got 1048576"),
        (lambda: Axis.of(8, core=1.5), r"core must be in \(0, 1\], got 1.5"),
        (lambda: Axis.counted([3, 0]), r"counts must be at least 1 and not none, got \(3, 0\)"),
        (lambda: Axis.of(8).without(Axis.of(8)), "other must leave at least 1 of 8 channels, got 8"),
        (lambda: Axis((0, 3, 1), 4), "births must not decrease"),
        (lambda: Axis((1, 2), 4), "first channel must be born at 0"),
        (lambda: Axis((0, 4), 4), "births must be below denominator=4"),
    ],
)
def test_axes_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
