"""Key points: heat maps, places finer than a cell, and errors in pixels of the picture as it was written."""

import jax
import jax.numpy as jnp
import numpy as np

from awn_jax.tasks.keypoints import KeyPoints
from awn_jax.tasks.keypoints.heatmaps import cross_entropy, heat, located

ROWS, COLUMNS = 6, 8


def examples(points, boxes=None, categories=None):
    """Images of 24 × 32 pixels, which show pictures of 480 × 640."""
    points = np.asarray(points, np.float32)
    batch, most = points.shape[:2]
    return {
        "image": np.zeros((batch, 24, 32, 1), np.uint8),
        "points": points,
        "boxes": np.tile(np.array([4, 4, 14, 9], np.float32), (batch, most, 1)) if boxes is None else boxes,
        "categories": np.zeros((batch, most), np.int32) if categories is None else categories,
        "frame": np.tile(np.array([0, 0, 640, 480], np.float32), (batch, 1)),
    }


def test_places_are_found_to_a_hundredth_of_a_cell():
    places = jax.random.uniform(jax.random.key(0), (50, 3, 2), minval=0.2, maxval=0.8)
    found, sure = located(jnp.log(heat(places, ROWS, COLUMNS)))
    np.testing.assert_allclose(found, places, atol=0.01 / COLUMNS)
    assert np.all(sure > 0.9)


def test_heat_adds_up_to_one_and_is_learnt_best_by_itself():
    places = jnp.array([[0.1, 0.9], [1.0, 0.5], [0.45, 0.45]])
    shares = heat(places, ROWS, COLUMNS)
    np.testing.assert_allclose(shares.sum((0, 1)), 1, rtol=1e-5)
    np.testing.assert_allclose(cross_entropy(jnp.log(shares), shares), 0, atol=1e-5)
    assert np.all(cross_entropy(jnp.zeros_like(shares), shares) > 0.5)
    assert np.all(np.isfinite(cross_entropy(1e4 * shares, shares)))


def test_errors_are_in_pixels_of_the_picture_as_it_was_written():
    task = KeyPoints()
    # The second point of the second image is not there.
    truth = task.targets(examples([[[[10, 12, 2], [20, 8, 2]]], [[[16, 12, 1], [0, 0, 0]]]]))
    off = jnp.array([[[0.0, 0.0], [3.0, -4.0]], [[0.0, 0.0], [9.0, 9.0]]]) / jnp.array([[[640.0, 480.0]]])
    outputs = jnp.log(heat(truth.places + off, ROWS, COLUMNS))[None]
    np.testing.assert_allclose(task.errors(outputs, truth)[0, :, 0], 0, atol=0.2)
    np.testing.assert_allclose(task.errors(outputs, truth)[0, 0, 1], 5, atol=0.2)
    found = task.finish(jax.device_get(task.update(task.start(1), outputs, truth, jnp.array([True, True]))))
    np.testing.assert_allclose(found["error"], 5 / 3, atol=0.2)
    # A box of 10 × 5 pixels is one of 200 × 100, so a point may be off by 20.
    np.testing.assert_allclose(truth.close, 20)
    np.testing.assert_allclose(found["pck"], 1)
    np.testing.assert_allclose(task.quality(np.asarray(outputs), truth), [[1, 1]])
    one = task.finish(jax.device_get(task.update(task.start(1), outputs, truth, jnp.array([False, True]))))
    np.testing.assert_allclose(one["error"], 0, atol=0.2)
    assert task.truth(truth, ("nose", "tail")) == ["nose 31/50, tail 62/33", "nose 50/50"]


def test_a_point_that_is_not_there_teaches_nothing():
    task = KeyPoints()
    truth = task.targets(examples([[[[10, 12, 2], [0, 0, 0]]], [[[0, 0, 0], [0, 0, 0]]]]))
    outputs = jax.random.normal(jax.random.key(0), (2, 2, ROWS, COLUMNS, 2))
    losses, gradient = jax.value_and_grad(lambda x: task.losses(x, truth).sum())(outputs)
    assert losses > 0
    assert not np.any(gradient[:, 0, ..., 1])
    assert not np.any(gradient[:, 1])


def test_the_largest_object_of_an_image_counts():
    boxes = np.array([[[0, 0, 4, 4], [0, 0, 8, 8], [0, 0, 30, 20]]], np.float32)
    points = np.arange(9, dtype=np.float32).reshape(1, 3, 1, 3) + 1
    truth = KeyPoints().targets(examples(points, boxes, np.array([[0, 0, -1]], np.int32)))
    np.testing.assert_allclose(truth.places[0, 0] * jnp.array([32.0, 24.0]), points[0, 1, 0, :2])
