"""Where images come from, in which order, and what is done to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awn_jax import config as configs
from awn_jax import data, experiment
from awn_jax.data import augment, feed


def test_digits_are_real_labelled_and_split(digits):
    test = data.load("digits", "test")
    assert digits.images.shape[1:] == (28, 28, 1)
    assert (len(digits), len(test), digits.classes) == (1438, 359, 10)
    seen = {image.tobytes() for image in digits.images}
    assert sum(image.tobytes() in seen for image in test.images) == 0
    assert digits.images.max() == 255
    assert set(test.labels) == set(range(10))


def test_tfds_set_that_is_not_prepared_says_so_at_once(tmp_path):
    with pytest.raises(data.DataError, match=r"fashion_mnist is not prepared in .*TFDS_DATA_DIR.*awn-jax\[prepare\]"):
        data.load("fashion_mnist", "train", data_dir=str(tmp_path))


def test_unknown_set_is_named():
    with pytest.raises(data.DataError, match="'fashionmnits' is neither 'digits', 'npz:PATH' nor a TFDS set"):
        data.load("fashionmnits", "train")


def test_prepared_tfds_set_is_read(tmp_path, digits, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    image = pytest.importorskip("PIL.Image")

    def examples(count):
        for i in range(count):
            yield i, {"image": image.fromarray(digits.images[i].squeeze()), "label": int(digits.labels[i])}

    # The builder's own preparation, but for where the images come from.
    splits = lambda self, dl_manager: {"train": examples(30), "test": examples(5)}  # noqa: E731
    monkeypatch.setattr(type(tfds.builder("mnist", data_dir=tmp_path)), "_split_generators", splits)
    tfds.builder("mnist", data_dir=tmp_path, file_format="array_record").download_and_prepare()
    read = data.load("mnist", "train", data_dir=str(tmp_path))
    assert read.images.shape == (30, 28, 28, 1)
    assert read.classes == 10
    assert sorted(image.tobytes() for image in read.images) == sorted(i.tobytes() for i in digits.images[:30])
    assert len(data.load("mnist", "train[:10]", data_dir=str(tmp_path))) == 10
    with pytest.raises(data.DataError, match=r"split of mnist must be one of \['test', 'train'\].*'valid'"):
        data.load("mnist", "valid", data_dir=str(tmp_path))


IMAGES, LABELS = np.zeros((6, 8, 8, 3), np.uint8), np.arange(6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": IMAGES}, "must hold arrays x_train and y_train"),
        ({"x_train": IMAGES[:0], "y_train": LABELS[:0]}, "must hold at least one image"),
        ({"x_train": IMAGES[0, 0], "y_train": LABELS}, r"must have shape \(N, H, W\) or \(N, H, W, planes\)"),
        ({"x_train": IMAGES.astype(np.int64), "y_train": LABELS}, "must be of type uint8 or float, got int64"),
        ({"x_train": np.full((6, 8, 8), np.nan), "y_train": LABELS}, "must be finite"),
        ({"x_train": IMAGES, "y_train": LABELS[:5]}, "one label for each of 6 images"),
        ({"x_train": IMAGES, "y_train": LABELS - 1}, "must be 0 or more, got -1"),
        ({"x_train": IMAGES, "y_train": LABELS / 2}, "must be whole numbers, got type float64"),
    ],
)
def test_arrays_that_are_not_labelled_images_are_refused(tmp_path, arrays, message):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays)
    with pytest.raises(data.DataError, match=message):
        data.load(f"npz:{path}", "train")


def test_own_arrays(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=IMAGES[..., 0], y_train=LABELS[::-1], x_test=IMAGES[:1, :, :, 0], y_test=[7])
    read = data.load(f"npz:{path}", "train")
    assert read.images.shape == (6, 8, 8, 1)
    assert read.classes == 8
    np.testing.assert_array_equal(read.labels, LABELS[::-1])


def test_training_and_test_images_must_be_of_one_size(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:, :7], y_test=LABELS)
    planes = IMAGES.shape[-1]
    config = configs.parse({"data": {"name": f"npz:{path}", "mean": [0.0] * planes, "std": [1.0] * planes}})
    expected = (
        rf"data.test_split must hold images of size \(8, 8, {planes}\), those of training, got \(7, 8, {planes}\)"
    )
    with pytest.raises(configs.ConfigError, match=expected):
        experiment.load_both(config)


def test_a_single_array_is_refused(tmp_path):
    np.save(tmp_path / "mine.npy", IMAGES)
    with pytest.raises(data.DataError, match=r"must hold named arrays, as numpy\.savez writes them"):
        data.load(f"npz:{tmp_path / 'mine.npy'}", "train")


@pytest.mark.parametrize("content", [None, b"", b"not a zip file"])
def test_file_that_is_no_npz_is_refused(tmp_path, content):
    path = tmp_path / "mine.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(data.DataError, match=r"mine.npz is not a readable .npz file"):
        data.load(f"npz:{path}", "train")


def test_order_shows_every_image_once_an_epoch_and_depends_on_the_step_alone():
    count, batch = 50, 8
    stream = np.concatenate([feed.batch_order(3, count, batch, step) for step in range(25)])
    for epoch in range(4):
        assert sorted(stream[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert not np.array_equal(stream[:count], stream[count : 2 * count])
    np.testing.assert_array_equal(feed.batch_order(3, count, batch, 6), stream[48:56])


def test_both_feeds_give_the_same_batches(digits):
    mesh = data.data_mesh()
    made = [data.make_feed(digits, mesh, seed=1, batch_size=16, on_device=flag) for flag in (True, False)]
    for start, count in ((0, 2), (88, 3)):
        rows = [one.steps(start, count) for one in made]
        for index in range(count):
            first, second = (
                one.batch(one.constants, jax.tree.map(lambda a, i=index: a[i], row))
                for one, row in zip(made, rows, strict=True)
            )
            np.testing.assert_array_equal(first[0], second[0])
            np.testing.assert_array_equal(first[1], second[1])
            np.testing.assert_array_equal(first[1], digits.labels[feed.batch_order(1, len(digits), 16, start + index)])


@pytest.mark.parametrize(("batch_size", "message"), [(12, "multiple of the 8 devices"), (1440, "at most the 1438")])
def test_batches_that_do_not_fit_are_refused(digits, batch_size, message):
    with pytest.raises(ValueError, match=f"batch_size must be .*{message}.* got {batch_size}"):
        data.make_feed(digits, data.data_mesh(), seed=0, batch_size=batch_size)


def test_normalised_images_have_mean_0_and_deviation_1(digits):
    prepared = data.Preparation((0.3049,), (0.3245,)).normalised(jnp.asarray(digits.images))
    assert abs(float(prepared.mean())) < 2e-3
    assert abs(float(prepared.std()) - 1) < 2e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0.5,), (0.5, 0.5)), "one number for each plane"),
        (((0.5,), (0.0,)), "std must be above 0"),
    ],
)
def test_preparations_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.Preparation(*arguments)


def test_crop_flip_shifts_by_at_most_four_and_mirrors_half(digits):
    images = jnp.asarray(digits.images[:64])
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    changed = np.asarray(augment.crop_flip(jax.random.key(0), images))
    mirrored, shifts = 0, set()
    for i, image in enumerate(changed):
        found = [
            (dy, dx, flip)
            for dy in range(9)
            for dx in range(9)
            for flip in (False, True)
            if np.array_equal(image[:, :: -1 if flip else 1], padded[i, dy : dy + 28, dx : dx + 28])
        ]
        assert found
        mirrored += all(flip for _, _, flip in found)
        shifts |= {found[0][:2]}
    assert 16 < mirrored < 48
    assert len(shifts) > 30
