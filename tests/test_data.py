"""A set of images: its facts, in which order it is seen, and what is done to it."""

import hashlib

import jax.numpy as jnp
import numpy as np
import pytest

from awn_jax import data
from awn_jax.data import checks, summary

IMAGES, LABELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8), np.arange(6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": LABELS + 1}, "labels must be below 6, the number of classes, got 6"),
        ({"labels": LABELS[:3]}, "labels must hold one label for each of 6 images"),
        ({"labels": LABELS[:, None]}, r"must have shapes \(N, H, W, P\) and \(N,\)"),
        ({"images": IMAGES[..., 0]}, r"must have shapes \(N, H, W, P\) and \(N,\)"),
        ({"classes": 10**9}, "classes must be from 1 to 100000, got 1000000000"),
        ({"class_names": ("a", "b")}, "class_names must be one for each of 6 classes, got 2"),
        ({"class_names": list("abcdef")}, r"class_names must be a tuple of str, got \['a'"),
    ],
)
def test_a_set_that_does_not_fit_together_is_refused(changed, message):
    # Not through ImageSet, whose arguments the import hook would refuse before.
    with pytest.raises(data.DataError, match=message):
        checks.check_set(**{"images": IMAGES, "labels": LABELS, "classes": 6, "class_names": (), **changed})


def test_a_set_is_checked_when_it_is_made():
    with pytest.raises(data.DataError, match="labels must be below 5, the number of classes, got 5"):
        data.ImageSet(IMAGES, LABELS, 5)


def test_fingerprint_is_as_defined():
    labels = LABELS.astype(np.int32)
    expected = hashlib.sha256()
    for header, content in (("|u1 (6, 8, 8, 3)\n", IMAGES), ("<i4 (6,)\n", labels)):
        expected.update(header.encode() + hashlib.sha256(content.tobytes()).digest())
    assert data.fingerprint(data.ImageSet(IMAGES, labels, 6)) == expected.hexdigest()


def test_fingerprints_tell_sets_apart_and_depend_on_nothing_else(monkeypatch):
    monkeypatch.setattr(summary, "HASHED", 2 * IMAGES[0].size)  # three chunks
    first = data.ImageSet(IMAGES, LABELS, 6)
    pixel, order = IMAGES.copy(), [1, 0, 2, 3, 4, 5]
    pixel[-1, -1, -1, -1] ^= 1
    others = [
        data.ImageSet(pixel, LABELS, 6),
        data.ImageSet(IMAGES, LABELS[::-1], 6),
        data.ImageSet(IMAGES, LABELS.astype(np.int32), 6),
        data.ImageSet(IMAGES.astype(np.float32), LABELS, 6),
        data.ImageSet(IMAGES.reshape(6, 4, 16, 3), LABELS, 6),
        data.ImageSet(IMAGES[order], LABELS[order], 6),
        first.take(5),
    ]
    assert len({data.fingerprint(each) for each in [first, *others]}) == 1 + len(others)
    strided = data.ImageSet(np.asfortranarray(IMAGES), np.repeat(LABELS, 2)[::2], 6)
    swapped = data.ImageSet(IMAGES, LABELS.astype(">i8"), 9, tuple("abcdefghi"))
    assert data.fingerprint(strided) == data.fingerprint(swapped) == data.fingerprint(first)


@pytest.mark.parametrize(("kind", "white"), [(np.uint8, 255), (np.float32, 1)])
def test_sample_moments_are_those_of_the_whole_set(monkeypatch, kind, white):
    monkeypatch.setattr(summary, "SUMMED", 4 * IMAGES[0].size)  # two chunks of unequal length
    images = IMAGES.astype(kind)
    mean, std = data.sample_moments(data.ImageSet(images, LABELS, 6))
    np.testing.assert_allclose(mean, images.mean((0, 1, 2), np.float64) / white, rtol=1e-12)
    np.testing.assert_allclose(std, images.std((0, 1, 2), np.float64) / white, rtol=1e-12)


def test_sample_moments_normalise(digits):
    prepared = data.Preparation(*data.sample_moments(digits)).normalised(jnp.asarray(digits.images))
    assert prepared.dtype == jnp.float32
    assert abs(float(prepared.mean())) < 1e-4
    assert abs(float(prepared.std()) - 1) < 1e-4


def test_once_through_shows_every_image_once(digits):
    few = digits.take(21)
    seen = list(data.once_through(few, data.data_mesh(), 10))
    images, labels = (np.concatenate([np.asarray(batch[name]) for batch, _ in seen]) for name in ("image", "label"))
    counted = np.concatenate([np.asarray(counted) for _, counted in seen])
    assert len({len(batch["image"]) for batch, _ in seen}) == 1
    np.testing.assert_array_equal(images[counted], few.images)
    np.testing.assert_array_equal(labels[counted], few.labels)


@pytest.mark.parametrize(("count", "batch_size", "message"), [(0, 8, "data must hold"), (5, 0, "batch_size must be 1")])
def test_once_through_nothing_is_refused(digits, count, batch_size, message):
    with pytest.raises(ValueError, match=message):
        next(data.once_through(digits.take(count), data.data_mesh(), batch_size))


def test_normalised_images_are_as_the_formula_says():
    mean, std = (0.3, 0.4, 0.5), (0.2, 0.25, 0.3)
    preparation = data.Preparation(mean, std)
    expected = (IMAGES / 255 - mean) / std
    np.testing.assert_allclose(preparation.normalised(jnp.asarray(IMAGES)), expected, atol=2e-6)
    floats = jnp.asarray(IMAGES / 255, jnp.float32)
    np.testing.assert_allclose(preparation.normalised(floats), expected, atol=2e-6)
    with pytest.raises(ValueError, match=r"mean must have one number for each of 1 planes, got \(0.3, 0.4, 0.5\)"):
        preparation.normalised(jnp.asarray(IMAGES[..., :1]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0.5,), (0.5, 0.5)), "one number for each plane"),
        (((0.5,), (0.0,)), "std must be above 0"),
        (((), ()), "std must be above 0"),
        (((float("nan"),), (1.0,)), "mean and std must be finite"),
        (((0.5,), (0.5,), "crop_flip", -1), "shift must be 0 or more, got -1"),
        (((0.5,), (0.5,), "flap"), "augment must be one of .*crop_flip.*, or module:Name, got 'flap'"),
    ],
)
def test_preparations_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.Preparation(*arguments)
