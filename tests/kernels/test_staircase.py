"""The arithmetic of `visible`, against masks counted out."""

import itertools

import numpy as np
import pytest
from awn_kernels import staircase
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def staircases(draw):
    in_channels = draw(st.integers(1, 40))
    steps = draw(st.lists(st.integers(0, in_channels), min_size=1, max_size=40))
    return in_channels, tuple(sorted(steps))


def covered(blocks, shape):
    """Counts how often blocks of (rows, columns) cover each weight."""
    cover = np.zeros(shape, int)
    for rows, columns in blocks:
        cover[rows, columns] += 1
    return cover


@given(staircases(), st.integers(1, 9), st.integers(1, 5))
def test_blocks_cover_every_weight_once_and_cut_at_the_staircase(drawn, count, multiple):
    in_channels, visible = drawn
    mask = staircase.mask(visible, in_channels)
    rows = staircase.block_rows(visible, count, multiple)
    columns = staircase.block_columns(visible, in_channels, count, multiple)
    by_rows = covered([(slice(depth), slice(start, stop)) for start, stop, depth in rows], mask.shape)
    by_columns = covered([(slice(start, stop), slice(first, None)) for start, stop, first in columns], mask.shape)
    for cover in (by_rows, by_columns):
        assert cover.max(initial=0) <= 1
        assert (cover[mask] == 1).all()
    assert len(rows) <= count
    assert len(columns) <= count
    # Neighbours that read equally much are one block; no block reaches deeper than its last output.
    assert all(a.depth < b.depth and a.stop == b.start for a, b in itertools.pairwise(rows))
    assert all(depth == visible[stop - 1] for _, stop, depth in rows)
    assert staircase.visited_macs(columns, len(visible)) == by_columns.sum()
    assert staircase.useful_macs(visible) == mask.sum()


@given(staircases(), st.integers(1, 9), st.integers(1, 9))
def test_tile_depths_count_the_tiles_that_hold_a_weight(drawn, tile_in, tile_out):
    in_channels, visible = drawn
    mask = staircase.mask(visible, in_channels)
    expected = [
        sum(mask[c : c + tile_in, k : k + tile_out].any() for c in range(0, in_channels, tile_in))
        for k in range(0, len(visible), tile_out)
    ]
    assert staircase.tile_depths(visible, tile_in, tile_out) == expected


@given(staircases())
def test_first_reader_is_the_first_output_whose_mask_is_set(drawn):
    in_channels, visible = drawn
    for channel, row in enumerate(staircase.mask(visible, in_channels)):
        assert staircase.first_reader(visible, channel) == (int(row.argmax()) if row.any() else len(visible))


def test_nb_equal_blocks_of_a_triangle_cost_half_of_one_plus_one_over_nb():
    visible = tuple(range(1, 257))
    for blocks in (1, 2, 4, 8):
        columns = staircase.block_columns(visible, 256, blocks)
        assert staircase.visited_macs(columns, 256) == 256**2 * (1 + 1 / blocks) / 2


def test_a_dense_layer_is_one_block():
    assert staircase.block_rows((7,) * 12, 4) == [(0, 12, 7)]
    assert staircase.is_dense((7,) * 12, 7)
    assert not staircase.is_dense((6, 7), 7)


@pytest.mark.parametrize(
    ("visible", "error", "message"),
    [
        ((1, 2), ValueError, "visible has 2 entries, expected one per output channel: 3"),
        ((2, 1, 3), ValueError, r"must not decrease, got visible\[0\] = 2, visible\[1\] = 1"),
        ((1, 2, 5), ValueError, r"visible\[2\] = 5 must lie between 0 and the number of input channels, 4"),
        ((-1, 2, 3), ValueError, r"visible\[0\] = -1"),
        ((1.5, 2, 3), TypeError, "integer"),
    ],
)
def test_bad_staircases_are_named(visible, error, message):
    # The function behind jaxtyping's checks, which would reject the floats first.
    check = getattr(staircase.check_visible, "__wrapped__", staircase.check_visible)
    with pytest.raises(error, match=message):
        check(visible, 4, 3)
