"""Arrays of one's own in an .npz file: read as what they are, damaged ones refused."""

import io
import pwd
import zipfile

import numpy as np
import pytest

from awn_jax import config as configs
from awn_jax import data, run
from awn_jax.data import sources
from awn_jax.data.sources import npz

IMAGES, LABELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8), np.arange(6)


def test_own_arrays(tmp_path):
    path = tmp_path / "mine.npz"
    # Labels in a column, as Keras gives those of CIFAR. The test images show one class only.
    np.savez(path, x_train=IMAGES[..., 0], y_train=LABELS[::-1, None], x_test=IMAGES[:1, :, :, 0], y_test=[7], y_of=1.5)
    read = data.load(f"npz:{path}", "train")
    np.testing.assert_array_equal(read.images, IMAGES[..., :1])
    np.testing.assert_array_equal(read.labels, LABELS[::-1])
    assert (read.classes, read.class_names) == (8, ())
    assert data.load(f"npz:{path}", "test").classes == 8


@pytest.mark.parametrize("kind", ["U", "S"])
def test_own_arrays_may_name_their_classes(tmp_path, kind):
    path = tmp_path / "mine.npz"
    names = [f"kind {i}" for i in range(7)]
    np.savez(path, x_train=IMAGES, y_train=LABELS, class_names=np.array(names, kind))
    read = data.load(f"npz:{path}", "train")
    assert (read.classes, read.class_names) == (7, tuple(names))
    np.savez(path, x_train=IMAGES, y_train=LABELS, class_names=np.array(names[:4], kind))
    with pytest.raises(data.DataError, match="y_train must be below 4, the number of classes, got 5"):
        data.load(f"npz:{path}", "train")
    np.savez(path, x_train=IMAGES, y_train=LABELS, class_names=np.arange(6))
    with pytest.raises(data.DataError, match=r"class_names must be up to 100000 texts in a row, got shape \(6,\)"):
        data.load(f"npz:{path}", "train")


def test_labels_of_all_splits_are_checked(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES, y_test=LABELS + 2**31)
    with pytest.raises(data.DataError, match=r"mine.npz: y_test must be below 100000"):
        data.load(f"npz:{path}", "train")


def test_training_and_test_images_must_be_of_one_size(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:, :7], y_test=LABELS)
    planes = IMAGES.shape[-1]
    config = configs.parse({"model": {"name": "lenet_3c1l"}, "data": {"name": f"npz:{path}"}})
    begun = run.begin(tmp_path, config, data.load(f"npz:{path}", "train"))
    with pytest.raises(
        run.RunError, match=rf"is of images of size \(8, 8, {planes}\), those of test have \(7, 8, {planes}\)"
    ):
        begun.images("test")


def write_claim(path, shape, content=b""):
    """An .npz file in which `x_train` claims a shape, whatever it holds."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", header.getvalue() + content)
        archive.writestr("y_train.npy", npy_of(LABELS))


def npy_of(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("shape", [(7 << 59, 1, 1), (2**40, 2**40, 2**40), (6, 8, 9), (6, 8, 7), (-6, -8, 8)])
def test_array_that_is_not_as_large_as_it_claims_is_refused(tmp_path, shape):
    write_claim(tmp_path / "mine.npz", shape, bytes(6 * 8 * 8))
    with pytest.raises(data.DataError, match=r"x_train claims shape .*, which its file cannot hold"):
        data.load(f"npz:{tmp_path / 'mine.npz'}", "train")


def test_what_does_not_fit_in_memory_is_refused_unread(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "mine.npz", x_train=IMAGES, y_train=LABELS)
    monkeypatch.setattr(npz, "_memory", lambda: IMAGES.nbytes - 1)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(data.DataError, match="x_train must fit in 1,151 bytes of memory, got 1,152 bytes"):
        data.load(f"npz:{tmp_path / 'mine.npz'}", "train")


def test_memory_that_runs_out_is_one_line(monkeypatch):
    def read(request):
        return np.empty(1 << 60, np.uint8)

    monkeypatch.setitem(sources.SOURCES, "mine", read)
    with pytest.raises(data.DataError, match="train of mine must fit in memory: Unable to allocate"):
        data.load("mine", "train")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_is_an_error_or_without_effect(tmp_path, save):
    few, path = IMAGES[:2, :2, :2, 0], tmp_path / "mine.npz"
    # The number of classes follows from the test split, so that to miss it would not be without effect.
    save(path, x_train=few, y_train=[0, 1], x_test=few, y_test=[1, 2])
    sound, expected = path.read_bytes(), data.load(f"npz:{path}", "train")
    bits, errors = np.random.default_rng(0).integers(0, 8, len(sound)), 0
    for at, bit in enumerate(bits):
        damaged = bytearray(sound)
        damaged[at] ^= 1 << int(bit)
        path.write_bytes(damaged)
        try:
            read = data.load(f"npz:{path}", "train")
        except data.DataError as error:
            errors += 1
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert (data.fingerprint(read), read.classes) == (data.fingerprint(expected), 3), f"bit {bit} of byte {at}"
    assert errors > len(sound) / 2


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_refused(tmp_path, share):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, x_train=IMAGES, y_train=LABELS)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(data.DataError, match=r"mine.npz is not a readable .npz file: \w+"):
        data.load(f"npz:{path}", "train")


def test_a_single_array_is_refused(tmp_path):
    np.save(tmp_path / "mine.npy", IMAGES)
    with pytest.raises(data.DataError, match=r"must hold named arrays, as numpy\.savez writes them"):
        data.load(f"npz:{tmp_path / 'mine.npy'}", "train")


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=IMAGES, y_train=np.array([{}] * 6))
    with pytest.raises(data.DataError, match="y_train must be numbers or text, got pickled objects"):
        data.load(f"npz:{tmp_path / 'mine.npz'}", "train")


def test_a_file_without_the_split_says_what_it_holds(tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=IMAGES)
    with pytest.raises(data.DataError, match=r"must hold arrays x_train and y_train, got \['x_train'\]"):
        data.load(f"npz:{tmp_path / 'mine.npz'}", "train")


@pytest.mark.parametrize("content", [None, "folder", b"", b"not a zip file"])
def test_file_that_is_no_npz_is_refused(tmp_path, content):
    path = tmp_path / "mine.npz"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(data.DataError, match=r"mine.npz is not a readable .npz file: \w+"):
        data.load(f"npz:{path}", "train")


def test_home_is_where_a_path_says_so_and_not_needed_elsewhere(tmp_path, monkeypatch):
    np.savez(tmp_path / "mine.npz", x_train=IMAGES, y_train=LABELS)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(data.load("npz:~/mine.npz", "train")) == 6

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert len(data.load(f"npz:{tmp_path / 'mine.npz'}", "train")) == 6
    assert len(data.load("digits", "test")) == 359
    with pytest.raises(data.DataError, match=r"~/mine.npz is not a readable .npz file: Could not determine home"):
        data.load("npz:~/mine.npz", "train")
