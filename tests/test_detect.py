"""Detection: who finds what, the choice of boxes, the loss, and average precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awn_jax.tasks.detect import Detection
from awn_jax.tasks.detect.boxes import centres, decoded, generalised_overlap, overlap
from awn_jax.tasks.detect.losses import PRIOR
from awn_jax.tasks.detect.matching import Objects, matches
from awn_jax.tasks.detect.precision import average_precision
from awn_jax.tasks.detect.suppression import Detections, unsuppressed

ROWS, COLUMNS, CLASSES = 6, 8, 3


def objects(*images: list[tuple[list[float], int]], crowd: tuple[int, ...] = ()) -> Objects:
    """Images, each a list of boxes with their classes; `crowd` numbers those of the first image that are crowds."""
    most = max(1, *map(len, images))
    boxes = np.zeros((len(images), most, 4), np.float32)
    labels = np.full((len(images), most), -1, np.int32)
    for number, image in enumerate(images):
        for place, (box, label) in enumerate(image):
            boxes[number, place], labels[number, place] = box, label
    many = np.zeros(labels.shape, bool)
    many[0, list(crowd)] = True
    return Objects(boxes, labels, many)


def perfect(truth: Objects) -> jax.Array:
    """Outputs of a network that is sure of every object, and right."""
    found = matches(Objects(*map(jnp.asarray, truth)), ROWS, COLUMNS)
    grid = np.asarray([COLUMNS, ROWS], np.float32)
    low, high = found.boxes[..., :2], found.boxes[..., 2:]
    size = np.log(np.maximum(np.asarray(high - low) * grid / 4, 1e-2))
    middle = (np.asarray(low + high) / 2 - np.asarray(centres(ROWS, COLUMNS))) * grid
    logits = 30 * jax.nn.one_hot(found.labels, CLASSES) - 15 - PRIOR
    return jnp.concatenate([logits, middle, size], -1)


# Two cells that overlap, a tiny one and an empty image.
CELLS = objects([([0.1, 0.1, 0.6, 0.7], 0), ([0.4, 0.4, 0.6, 0.6], 2)], [([0.81, 0.32, 0.82, 0.33], 1)], [])


def test_overlaps_are_those_of_the_definition_and_do_not_change_with_the_scale_of_an_axis():
    a, b = (
        jnp.array([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 1.0, 1.0]]),
        jnp.array([[1.0, 1.0, 3.0, 3.0], [2.0, 0.0, 3.0, 1.0]]),
    )
    np.testing.assert_allclose(overlap(a, b), [1 / 7, 0], rtol=1e-6)
    # The smallest boxes around both hold 9 and 3, of which 2 and 1 belong to neither.
    np.testing.assert_allclose(generalised_overlap(a, b), [1 / 7 - 2 / 9, -1 / 3], rtol=1e-6)
    scale = jnp.array([[3.0, 0.5, 3.0, 0.5]])
    np.testing.assert_allclose(generalised_overlap(a * scale, b * scale), generalised_overlap(a, b), rtol=1e-5)


def test_every_object_is_found_by_the_cells_around_its_middle():
    found = matches(Objects(*map(jnp.asarray, CELLS)), ROWS, COLUMNS)
    # The small cell in front takes its own middle from the large one behind it.
    assert found.labels[0, 2, 3] == 2
    assert np.sum(found.labels[0] == 0) > 0
    np.testing.assert_array_equal(found.boxes[0, 2, 3], CELLS.boxes[0, 1])
    # One that holds the middle of no cell has the cell around it, and that alone.
    assert [list(map(int, place)) for place in np.argwhere(found.labels[1] >= 0)] == [[1, 6]]
    assert np.all(found.labels[2] == -1)
    assert not found.ignored.any()


def test_a_crowd_is_not_to_be_found_and_teaches_nothing():
    truth = Objects(*map(jnp.asarray, objects([([0.0, 0.0, 0.5, 1.0], 0), ([0.6, 0.4, 0.9, 0.6], 1)], crowd=(0,))))
    found = matches(truth, ROWS, COLUMNS)
    assert set(np.unique(found.labels)) == {-1, 1}
    np.testing.assert_array_equal(found.ignored[0], np.arange(COLUMNS)[None] < np.full((ROWS, 1), 4))
    outputs = jax.random.normal(jax.random.key(0), (1, 1, ROWS, COLUMNS, CLASSES + 4))
    changed = outputs.at[:, :, :, :4, :CLASSES].add(3)
    np.testing.assert_array_equal(Detection().losses(outputs, truth), Detection().losses(changed, truth))


def test_boxes_are_suppressed_as_one_by_one():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.6, (2, 30, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.1, 0.4, (2, 30, 2))], -1).astype(np.float32)
    labels, scores = rng.integers(0, 2, (2, 30)), -np.sort(-rng.uniform(size=(2, 30)))
    kept = unsuppressed(jnp.asarray(boxes), jnp.asarray(scores), jnp.asarray(labels), 0.3)
    apart = overlap(jnp.asarray(boxes)[:, :, None], jnp.asarray(boxes)[:, None]) <= 0.3
    for image in range(2):
        left: list[int] = []
        for one in range(30):
            rivals = [other for other in left if labels[image, other] == labels[image, one]]
            if all(apart[image, one, other] for other in rivals):
                left.append(one)
        assert np.flatnonzero(kept[image]).tolist() == left
    assert not kept.all()


def test_a_perfect_network_loses_nothing_and_finds_everything():
    task, outputs = Detection(), jnp.stack([perfect(CELLS), jnp.zeros((3, ROWS, COLUMNS, CLASSES + 4))])
    truth = Objects(*map(jnp.asarray, CELLS))
    losses = task.losses(outputs, truth)
    assert np.all(losses[0] < 1e-3)
    assert np.all(losses[1, :2] > 0.5)
    np.testing.assert_allclose(task.taught(outputs[:1], outputs[0]), 0, atol=1e-3)
    sums = task.update(task.start(2), outputs, truth, jnp.array([True, True, False]))
    parts = [slice(0, 2), slice(2, 3)]
    found = jax.device_get(task.found(outputs, truth))
    tallies = [
        task.tally(type(found)(*(v[:, part] for v in found)), Objects(*(v[part] for v in CELLS))) for part in parts
    ]
    metrics = task.finish(jax.device_get(sums), tallies)
    np.testing.assert_allclose(metrics["ap50"], [1, 0])
    np.testing.assert_allclose(metrics["ap"], [1, 0])
    np.testing.assert_allclose(metrics["loss"], losses[:, :2].mean(1), rtol=1e-5)
    np.testing.assert_allclose(task.quality(np.asarray(outputs), truth), [[1, 1, 1], [0, 0, 1]])
    assert task.answers(np.asarray(outputs[0]), ("red", "white", "platelet")).tolist() == task.truth(
        truth, ("red", "white", "platelet")
    )
    assert task.truth(truth, ()) == ["1 of class 0, 1 of class 2", "1 of class 1", "nothing"]
    assert np.all(task.confidence(np.asarray(outputs[0])) > 0.99)


def test_the_loss_has_a_finite_gradient_whatever_is_in_an_image():
    truth = Objects(*map(jnp.asarray, objects([], [([0.5, 0.5, 0.5, 0.5], 0), ([-0.4, 0.2, 0.1, 0.3], 1)])))
    for size in (0.0, 200.0):
        outputs = size * jax.random.normal(jax.random.key(0), (1, 2, ROWS, COLUMNS, CLASSES + 4))
        value, gradient = jax.value_and_grad(lambda x: Detection().losses(x, truth).sum())(outputs)
        assert np.isfinite(value)
        assert np.all(np.isfinite(gradient))


def test_average_precision_is_that_of_a_case_by_hand():
    truth = objects([([0.0, 0.0, 0.4, 0.4], 0), ([0.5, 0.5, 0.9, 0.9], 0)], [])
    # The surest is right, the next one stands in the empty image, the third overlaps the other object by .81.
    found = Detections(
        np.array([[[0, 0, 0.4, 0.4], [0.5, 0.5, 0.86, 0.86]], [[0.2, 0.2, 0.3, 0.3], [0, 0, 0, 0]]], np.float32),
        np.array([[0.9, 0.5], [0.7, 0]], np.float32),
        np.zeros((2, 2), np.int32),
    )
    # Precision is 1 at the 51 recalls up to ½, and then 2/3 at the other 50; above an overlap of .8, nothing is found there.
    half = (51 + 50 * 2 / 3) / 101
    one = average_precision(found, truth)
    np.testing.assert_allclose((one.at_half, one.mean), (half, (7 * half + 3 * 51 / 101) / 10), rtol=1e-6)


@pytest.mark.parametrize("nothing", ["objects", "detections"])
def test_average_precision_of_nothing_is_zero(nothing):
    truth = objects([([0.0, 0.0, 0.4, 0.4], 0)] if nothing == "detections" else [])
    scores = np.full((1, 1), 0.0 if nothing == "detections" else 0.9, np.float32)
    found = Detections(np.array([[[0, 0, 0.4, 0.4]]], np.float32), scores, np.zeros((1, 1), np.int32))
    assert average_precision(found, truth) == (type(average_precision(found, truth)))(0.0, 0.0)


def test_boxes_are_decoded_around_their_cells():
    boxes = decoded(jnp.zeros((2, 4, 4)))
    # Of four cells' width and height.
    np.testing.assert_allclose(boxes[1, 2], [(2.5 - 2) / 4, (1.5 - 2) / 2, (2.5 + 2) / 4, (1.5 + 2) / 2])
