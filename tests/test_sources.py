"""Labelled images by name: what each source reads, and what none may give."""

import io
import pickle
import warnings

import hypothesis
import numpy as np
import PIL.Image
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from awn_jax import data
from awn_jax.data import readings, sources
from awn_jax.data.sources.found import Found

PATIENT = hypothesis.settings(deadline=None, max_examples=60)


def test_digits_are_real_labelled_and_split(digits):
    test = data.load("digits", "test")
    assert digits.images.shape[1:] == (28, 28, 1)
    assert (len(digits), len(test), digits.classes) == (1438, 359, 10)
    seen = {image.tobytes() for image in digits.images}
    assert sum(image.tobytes() in seen for image in test.images) == 0
    assert digits.images.max() == 255
    assert set(test.labels) == set(range(10))
    assert digits.class_names == tuple("0123456789")
    assert digits.image_size == (28, 28, 1)


def test_digits_have_two_splits():
    with pytest.raises(data.DataError, match="split of digits must be 'train' or 'test', got 'valid'"):
        data.load("digits", "valid")


def test_tfds_set_that_is_not_prepared_says_so_at_once(tmp_path):
    with pytest.raises(data.DataError, match=r"fashion_mnist is not prepared in .*TFDS_DATA_DIR.*awn-jax\[prepare\]"):
        data.load("fashion_mnist", "train", data_dir=str(tmp_path))


def test_unknown_set_is_named():
    with pytest.raises(
        data.DataError,
        match="'fashionmnits' is neither 'digits', 'npz:PATH', 'folder:PATH', 'coco:PATH' nor a TFDS set",
    ):
        data.load("fashionmnits", "train")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, digits):
    """A folder with MNIST as TFDS prepares it, but of 30 digits to train and 5 to test, which have no labels (−1)."""
    tfds = pytest.importorskip("tensorflow_datasets")
    image = pytest.importorskip("PIL.Image")

    def examples(first, count, labelled):
        for i in range(first, first + count):
            label = int(digits.labels[i]) if labelled else -1
            yield i, {"image": image.fromarray(digits.images[i].squeeze()), "label": label}

    folder = tmp_path_factory.mktemp("tfds")
    splits = lambda self, dl_manager: {"train": examples(0, 30, True), "test": examples(30, 5, False)}  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(tfds.builder("mnist", data_dir=folder)), "_split_generators", splits)
        tfds.builder("mnist", data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


def test_prepared_tfds_set_is_read(prepared, digits):
    read = data.load("mnist", "train", data_dir=str(prepared))
    assert read.images.shape == (30, 28, 28, 1)
    assert (read.classes, read.class_names) == (10, tuple("0123456789"))
    pairs = lambda found: sorted((i.tobytes(), int(k)) for i, k in zip(found.images, found.labels, strict=True))  # noqa: E731
    assert pairs(read) == pairs(digits.take(30))
    assert len(data.load("mnist:3.0.1", "train[:10]", data_dir=str(prepared))) == 10
    with pytest.raises(data.DataError, match=r"split of mnist must be one of \['test', 'train'\].*'valid'"):
        data.load("mnist", "valid", data_dir=str(prepared))


def test_tfds_images_without_labels_are_refused(prepared):
    with pytest.raises(data.DataError, match="labels of mnist test must be 0 or more, got -1"):
        data.load("mnist", "test", data_dir=str(prepared))


@pytest.fixture(scope="module")
def flowers(tmp_path_factory, digits):
    """A folder with tf_flowers as TFDS prepares it, but of 12 digits, enlarged to several sizes, as JPEG files."""
    tfds = pytest.importorskip("tensorflow_datasets")

    def examples():
        for i in range(12):
            file, size = io.BytesIO(), (30 + i, 40 - i)
            PIL.Image.fromarray(digits.images[i].squeeze()).convert("RGB").resize(size).save(file, "jpeg")
            file.seek(0)
            yield i, {"image": file, "label": i % 5}

    folder = tmp_path_factory.mktemp("tfds_sizes")
    with pytest.MonkeyPatch.context() as patch:
        builder = tfds.builder("tf_flowers", data_dir=folder, file_format="array_record")
        patch.setattr(type(builder), "_split_generators", lambda self, dl_manager: {"train": examples()})
        builder.download_and_prepare()
    return str(folder)


def test_a_tfds_set_of_images_of_any_size_is_opened_picture_by_picture(flowers):
    found = data.load("tf_flowers", "train", data_dir=flowers, image_size=(16, 24))
    assert isinstance(found, data.Photographs)
    assert (len(found), found.image_size, found.class_names[0]) == (12, (16, 24, 3), "dandelion")
    assert np.bincount(found.labels).tolist() == [3, 3, 2, 2, 2]
    sizes = {found.picture(index)["image"].size for index in range(12)}
    assert sizes == {(30 + i, 40 - i) for i in range(12)}
    # Workers get copies.
    copy = pickle.loads(pickle.dumps(found.select([7, 2])))
    read = data.in_memory(copy)
    np.testing.assert_array_equal(read.images[1], found.example(2)["image"])
    assert read.labels.tolist() == found.labels[[7, 2]].tolist()
    assert data.fingerprint(copy) != data.fingerprint(found)
    with pytest.raises(data.DataError, match=r"data\.image_size must be given where pictures differ in size"):
        data.in_memory(data.load("tf_flowers", "train", data_dir=flowers))


IMAGES, LABELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8), np.arange(6)
UNLIKE_IMAGES = [
    (IMAGES[:0], "must hold at least one image"),
    (IMAGES[:, :0], "must hold at least one image and pixel"),
    (IMAGES[0, 0], r"must have shape \(N, H, W\) or \(N, H, W, planes\)"),
    (IMAGES.astype("S4"), "must be numbers, got type |S4"),
    (IMAGES.astype(np.int16) - 1, "must be 0 or more, got -1: is 0 black, or grey"),
    # Of 10 bits, 12, 14 or 16?
    (4 * IMAGES.astype(np.uint16), "must say what white is: up to 10.. of uint16"),
    (IMAGES.astype(np.int64) << 20, "must say what white is: up to 26.* of int64"),
    (IMAGES - 30.0, "must be floats of 0 to 1, of 0 to 255, or standardised, got -30 to 2"),
    (np.full((6, 8, 8), np.nan), "must be finite"),
    (np.full((6, 8, 8), -np.inf, np.float32), "must be finite"),
    (np.full((6, 8, 8), -1e300), r"must be floats of 0 to 1, .* got -1e\+300"),
]
UNLIKE_LABELS = [
    (LABELS[:5], "must hold one label for each of 6 images"),
    (LABELS[None], "must hold one label for each of 6 images"),
    (np.eye(6, dtype=int) + 1, "must have one 1 in each row, else 0"),
    (np.ones((6, 2)) / 2, "must be whole numbers or one-hot rows, got 0.5"),
    (LABELS / 2, "must be whole numbers or one-hot rows, got 0.5"),
    (LABELS.astype("U1"), "must be whole numbers or one-hot rows, got type <U1"),
    (LABELS - 1, "must be 0 or more, got -1"),
    (2 * LABELS + 1, "must begin at 0, or hold every number from 1 on, got 6 numbers from 1 to 11: they may be"),
    # Cast to int32 these would be −2147483643, 0, 5 and a hundred million classes.
    (LABELS + 2**31, "must be below 100000, .* got 2147483653"),
    (np.full(6, 2**40), "must be below 100000, .* got 1099511627776"),
    (np.full(6, 2**63 + 5, np.uint64), "must be below 100000, .* got 9223372036854775813"),
    (np.full(6, 10**8), "must be below 100000, .* got 100000000"),
]
UNLIKE = [(images, LABELS, message) for images, message in UNLIKE_IMAGES]
UNLIKE += [(IMAGES, labels, message) for labels, message in UNLIKE_LABELS]


@pytest.mark.parametrize(("images", "labels", "message"), UNLIKE)
def test_no_source_can_give_what_is_not_labelled_images(tmp_path, monkeypatch, images, labels, message):
    np.savez(tmp_path / "mine.npz", x_train=images, y_train=labels)
    with pytest.raises(data.DataError, match=message) as from_file:
        data.load(f"npz:{tmp_path / 'mine.npz'}", "train")
    assert "\n" not in str(from_file.value)
    monkeypatch.setitem(sources.SOURCES, "mine", lambda request: Found(images, labels, ("x", "y")))
    with pytest.raises(data.DataError, match=f"^[xy] {message}"):
        data.load("mine", "train")


@PATIENT
@hypothesis.given(
    arrays_of.arrays(arrays_of.integer_dtypes() | arrays_of.unsigned_integer_dtypes(), st.sampled_from([(3,), (3, 1)]))
)
def test_labels_that_are_taken_keep_their_value_or_all_lose_one(labels):
    try:
        read, classes, names = readings.labels({"labels": labels}, None)
    except data.DataError:
        assert labels.min() < 0 or labels.max() >= data.MAX_CLASSES or labels.min() == 1
    else:
        first = 1 if names else 0
        assert read.tolist() == [int(label) - first for label in labels.reshape(-1)]
        assert read.max() < classes
        assert not names or set(labels.reshape(-1).tolist()) == set(range(1, 1 + classes))


@PATIENT
@hypothesis.given(arrays_of.arrays(arrays_of.floating_dtypes(), (2, 2, 1)))
def test_floats_that_are_taken_are_finite_and_only_scaled_and_rounded(images):
    try:
        read = readings.images(images, "images")
    except data.DataError:
        assert not (np.isfinite(images).all() and images.min() >= -10 and images.max() <= 10)
    else:
        assert read.shape == (2, 2, 1, 1)
        white = 255 if images.max() > 10 else 1
        scaled = read / (255 if read.dtype == np.uint8 else 1)
        np.testing.assert_allclose(scaled[..., 0] * white, images.astype(np.float64), rtol=1e-6, atol=1e-45)


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (lambda x: x > 99, lambda x: np.where(x > 99, 255, 0).astype(np.uint8)),
        (lambda x: x.astype(np.int64), lambda x: x),
        (lambda x: x.astype(np.float64), lambda x: x),
        (lambda x: x / 2 + 0.25, lambda x: ((x / 2 + 0.25) / 255).astype(np.float32)),
        (lambda x: x / 255, lambda x: (x / 255).astype(np.float32)),
        (lambda x: x.astype(np.uint16) * 257, lambda x: (x / 255).astype(np.float32)),
    ],
)
def test_pixels_are_read_as_what_they_are_in_all_splits_alike(tmp_path, stored, read):
    # Nothing in a dark split says of itself what white is.
    path, dark = tmp_path / "mine.npz", IMAGES[:1] % 3
    np.savez(path, x_train=stored(IMAGES), y_train=LABELS, x_test=stored(dark), y_test=[0])
    for split, images in (("train", IMAGES), ("test", dark)):
        found, expected = data.load(f"npz:{path}", split).images, read(images)
        white = [255 if array.dtype == np.uint8 else 1 for array in (found, expected)]
        np.testing.assert_allclose(found / white[0], expected / white[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("train", "test", "names", "expected"),
    [
        (np.eye(6), np.eye(6)[3:4], (), 6),
        (np.eye(7, dtype=bool)[:6], np.eye(7, dtype=bool)[3:4], (), 7),
        (LABELS.astype(np.float32), [3.0], (), 6),
        (LABELS > 2, [True], (), 2),
        (LABELS + 1, [4], (), 6),
        (2 * LABELS + 1, [7], "abcdefghijk", 11),
    ],
)
def test_labels_are_read_as_what_they_are(tmp_path, train, test, names, expected):
    path, more = tmp_path / "mine.npz", {"class_names": np.array(list(names))} if names else {}
    np.savez(path, x_train=IMAGES, y_train=train, x_test=IMAGES[:1], y_test=test, **more)
    read, other = (data.load(f"npz:{path}", split) for split in ("train", "test"))
    assert read.classes == other.classes == expected
    assert other.labels[0] == read.labels[3]
    # Numbers that have changed are kept as names.
    assert read.class_names == (tuple(names) or (tuple("123456") if np.array_equal(train, LABELS + 1) else ()))


def test_what_is_likely_not_meant_is_said_in_one_line(monkeypatch):
    images = (IMAGES > 99).astype(np.int32)
    monkeypatch.setitem(sources.SOURCES, "mine", lambda request: Found(images, LABELS, ("x", "y")))
    with pytest.warns(
        data.DataWarning, match="x reaches 1: white is taken to be 255; if it is 1, make it bool"
    ) as said:
        data.load("mine", "train")
    shown = warnings.formatwarning(said[0].message, said[0].category, said[0].filename, said[0].lineno)
    assert shown.count("\n") == 1
