"""A class for every pixel: losses, scores, words and pictures, each against what its definition says."""

import base64
import io
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import PIL.Image
import pytest
from scipy import ndimage
from sklearn.metrics import jaccard_score

from awn_jax import tasks
from awn_jax.evaluation.totals import metrics
from awn_jax.tasks.segment import instances, pixels

TASK = tasks.make("segment")
NAMES = ("even", "odd")


def targets(*images):
    """Of images given as rows of numbers of objects; odd numbers are of category 1, number 9 is a crowd."""
    found = np.array(images, np.int16)
    numbers = np.arange(1, 10)
    return {
        "instances": found,
        "categories": np.tile((numbers % 2).astype(np.int32), (len(found), 1)),
        "crowd": np.tile(numbers == 9, (len(found), 1)),
    }


SOME = targets(
    [[0, 1, 1, 0], [0, 1, 0, 0], [2, 2, 0, 3], [2, 2, 0, 9]],
    [[0] * 4] * 4,  # no object
)


def logits(classes, sure=4.0):
    return sure * np.eye(3, dtype=np.float32)[np.asarray(classes)]


def test_pixels_have_the_classes_of_their_objects_and_crowds_none():
    expected = [[[0, 2, 2, 0], [0, 2, 0, 0], [1, 1, 0, 2], [1, 1, 0, -1]], [[0] * 4] * 4]
    np.testing.assert_array_equal(pixels.classes(SOME), expected)


def test_the_loss_is_the_cross_entropy_of_the_pixels_that_count():
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 4, 4, 3)), jnp.float32)
    labels = jnp.broadcast_to(pixels.classes(SOME)[None], outputs.shape[:-1])
    of_pixels = optax.softmax_cross_entropy_with_integer_labels(outputs, jnp.maximum(labels, 0))
    expected = jnp.where(labels >= 0, of_pixels, 0).sum((2, 3)) / (labels >= 0).sum((2, 3), jnp.float32)
    np.testing.assert_allclose(TASK.losses(outputs, SOME), expected, rtol=1e-5)
    # A crowd's pixels teach nothing.
    gradient = jax.grad(lambda outputs: TASK.losses(outputs, SOME).sum())(outputs)
    assert not gradient[:, 0, 3, 3].any()
    assert gradient[:, 0, 3, 2].all()


def test_coarse_outputs_learn_how_much_of_each_pixel_a_class_takes():
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=(1, 2, 2, 2, 3)), jnp.float32)
    fine = jnp.repeat(jnp.repeat(outputs, 2, 2), 2, 3)
    np.testing.assert_allclose(TASK.losses(outputs, SOME), TASK.losses(fine, SOME), rtol=1e-5)
    with pytest.raises(ValueError, match=r"images of \(4, 4\) pixels must be multiples of the \(3, 3\) pixels"):
        TASK.losses(jnp.zeros((1, 2, 3, 3, 3)), SOME)


@pytest.mark.parametrize("size", [(8, 12), (12, 6), (4, 6)])
def test_logits_are_enlarged_linearly(size):
    coarse = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 6, 3)), jnp.float32)
    expected = jax.image.resize(coarse, (2, *size, 3), "linear") if size[1] >= 6 else None
    np.testing.assert_allclose(pixels.enlarged(coarse, size), expected, rtol=1e-5, atol=1e-6)


def test_scores_are_those_of_the_whole_set():
    truth = np.maximum(pixels.classes(SOME), 0)
    guess = np.array(truth)
    guess[0, 0, 2] = 0  # a pixel of object 1 is missed
    guess[0, 2, 3] = 1  # object 3 is taken for one of the other category
    guess[1, 0, 0] = 2  # where nothing is
    outputs = np.stack([logits(truth), logits(guess)])
    found = metrics(TASK, outputs, SOME)
    np.testing.assert_allclose([values[0] for values in found.values()], 1)
    counted = (pixels.classes(SOME) >= 0).reshape(-1)
    true, said = (np.asarray(x).reshape(-1)[counted] for x in (truth, guess))
    assert found["iou"][1] == pytest.approx(jaccard_score(true, said, average="macro"))
    assert found["foreground_iou"][1] == pytest.approx(jaccard_score(true > 0, said > 0))
    assert found["pixels"][1] == pytest.approx((true == said).mean())
    # Objects 1 and 2 are found, 3 is not, and two are not there.
    assert found["object_ap50"][1] == pytest.approx(2 / (2 + 1 + 2))
    np.testing.assert_allclose(
        TASK.quality(outputs, SOME)[1], [jaccard_score(true[:15], said[:15], average="macro"), 15 / 16 / 2]
    )


def test_batches_of_different_classes_add_up():
    parts = [{name: values[i : i + 1] for name, values in SOME.items()} for i in range(2)]
    found = [np.asarray(np.maximum(pixels.classes(part), 0), np.uint8)[None] for part in parts]
    tallies = [TASK.tally(one, part) for one, part in zip(found, parts, strict=True)]
    assert tallies[0].confusion.shape != tallies[1].confusion.shape
    assert all(values == 1 for values in TASK.finish((), tallies).values())


def test_an_object_is_found_if_more_than_half_is_shared(digits):
    real = digits.images[:40, 4:24, 4:24, 0] > 90
    for image in real:
        truth, kinds = instances.parts(image.astype(int), 2)
        moved = np.roll(image, 1, 1)
        found, others = instances.parts(moved.astype(int), 2)
        whole = np.ones(image.shape, bool)
        hits = sum(
            any(
                (truth == t)[found == f].sum() > 0.5 * ((truth == t) | (found == f)).sum()
                for f in range(1, len(others) + 1)
            )
            for t in range(1, len(kinds) + 1)
        )
        assert instances.matches(found, others, truth, kinds, whole) == (hits, len(others) - hits, len(kinds) - hits)
        assert len(kinds) == ndimage.label(image)[1]


def test_answers_and_truth_are_told_in_the_same_words():
    outputs = logits(np.maximum(pixels.classes(SOME), 0))
    told = TASK.truth(SOME, NAMES)
    assert told == ["1 even (25 %), 2 odd (25 %)", "nothing"]
    assert TASK.answers(outputs, NAMES).tolist() == told
    assert TASK.answers(outputs[:1], ()).tolist() == ["1 0 (25 %), 2 1 (25 %)"]
    np.testing.assert_allclose(TASK.confidence(logits(np.zeros((1, 4, 4), int), 0.0)), 1 / 3, rtol=1e-6)


def shown(svg):
    """The pixels of a picture that is drawn over an image."""
    data = re.fullmatch(r'<image href="data:image/png;base64,([^"]*)" width="1" height="1" [^>]*/>', svg)[1]
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))


def test_what_is_drawn_lies_where_the_objects_are():
    classes = np.maximum(pixels.classes(SOME), 0)[0]
    drawn = shown(TASK.drawn(logits(classes)))
    np.testing.assert_array_equal(drawn[..., 3] > 0, classes > 0)
    assert len(np.unique(drawn.reshape(-1, 4), axis=0)) == 3
    square = targets(np.pad(np.ones((3, 3), int), 1))
    truth = shown(TASK.drawn_truth({name: values[0] for name, values in square.items()}))
    np.testing.assert_array_equal(truth[..., 3] > 0, np.pad([[1, 1, 1], [1, 0, 1], [1, 1, 1]], 1))


def test_a_metric_of_one_name_is_shown_alike_whatever_the_task():
    shown = {}
    for task in tasks.TASKS.values():
        for name, metric in task.metrics.items():
            assert shown.setdefault(name, metric) == metric, name
