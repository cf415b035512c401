"""Folders of pictures as people have them: each a right result, or one clear line."""

import dataclasses
import io
import os
import shutil

import numpy as np
import PIL.Image
import pytest

from awn_jax import config as configs
from awn_jax import data, run
from awn_jax.data import decoding, geometry


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(image if image.shape[2:] == (3,) else image.reshape(image.shape[:2])).save(path, **options)


@pytest.fixture
def folder(tmp_path, digits):
    """Digits 3 and 8, six of each to train and three to test, as PNG files."""
    for number, name in ((3, "three"), (8, "eight")):
        images = digits.images[digits.labels == number]
        for index in range(9):
            save(tmp_path / ("train" if index < 6 else "test") / name / f"{index}.png", images[index])
    return tmp_path


def load(folder, split="train", **options):
    return data.load(f"folder:{folder}", split, **options)


def test_a_folder_is_read_with_its_class_names(folder, digits):
    train, test = load(folder), load(folder, "test")
    assert (len(train), len(test), train.classes) == (12, 6, 2)
    assert train.class_names == test.class_names == ("eight", "three")
    assert train.image_size == (28, 28, 1)
    expected = np.concatenate([digits.images[digits.labels == number][:6] for number in (8, 3)])
    read = data.in_memory(train)
    np.testing.assert_array_equal(read.images, expected)
    assert read.labels.tolist() == [0] * 6 + [1] * 6
    assert data.fingerprint(read) == data.fingerprint(train)


def test_classes_are_numbered_alike_in_all_splits(folder):
    shutil.rmtree(folder / "test" / "eight")
    (folder / "test" / "seven").mkdir()
    shutil.copy(folder / "test" / "three" / "6.png", folder / "test" / "seven" / "6.png")
    (folder / "train" / "seven").mkdir()
    with pytest.warns(data.DataWarning, match="class 'seven' has no picture in .*train"):
        train = load(folder)
    assert train.class_names == load(folder, "test").class_names == ("eight", "seven", "three")
    assert set(load(folder, "test").labels) == {1, 2}


def test_a_folder_without_splits_is_split_the_same_share_of_each_class(folder):
    for split in ("train", "test"):
        for name in ("three", "eight"):
            shutil.copytree(folder / split / name, folder / "all" / name, dirs_exist_ok=True)
    parts = [load(folder / "all", split, test_share=1 / 3) for split in ("train", "test")]
    assert [np.bincount(part.labels).tolist() for part in parts] == [[6, 6], [3, 3]]
    paths = [set(part.records.paths) for part in parts]
    assert not paths[0] & paths[1]
    again = load(folder / "all", "test", test_share=1 / 3).records.paths
    assert again == parts[1].records.paths != load(folder / "all", "test", test_share=1 / 3, seed=1).records.paths
    with pytest.raises(
        data.DataError, match="must be 'train' or 'test', since it has classes and no splits, got 'val'"
    ):
        load(folder / "all", "val")


def colour(size, rgb):
    return np.broadcast_to(np.array(rgb, np.uint8), (*size, 3)).copy()


RED, SIZE = (200, 30, 40), (20, 30)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("x.jpg", "RGB", RED),
        ("x.JPEG", "CMYK", RED),
        ("x.png", "RGBA", RED),
        ("x.webp", "RGB", RED),
        ("x.bmp", "P", RED),
        ("x.png", "L", (84, 84, 84)),
        ("x.png", "LA", (84, 84, 84)),
        ("x.png", "1", (0, 0, 0)),
    ],
)
def test_pictures_of_any_kind_are_what_they_show(tmp_path, name, kind, expected):
    picture = PIL.Image.fromarray(colour(SIZE, RED)).convert(
        kind, dither=PIL.Image.Dither.NONE, palette=PIL.Image.Palette.ADAPTIVE
    )
    picture.save(tmp_path / name, "JPEG" if name.endswith("JPEG") else None)
    content = (tmp_path / name).read_bytes()
    assert decoding.look(content, name) == (SIZE, 1 if kind in ("L", "LA", "1") else 3)
    decoded = np.asarray(decoding.decode(content, name, 3))
    assert decoded.shape == (*SIZE, 3)
    np.testing.assert_allclose(decoded[10, 15], expected, atol=4)


def encoded(picture, **options):
    file = io.BytesIO()
    picture.save(file, **options)
    return file.getvalue()


def test_what_is_transparent_is_white():
    pixels = np.dstack([colour(SIZE, RED), np.zeros(SIZE, np.uint8)])
    pixels[:, 15:, 3] = 255
    decoded = np.asarray(decoding.decode(encoded(PIL.Image.fromarray(pixels), format="png"), "x", 3))
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert decoded[0, -1].tolist() == list(RED)


def test_sixteen_bits_are_scaled_not_cut_off():
    deep = np.array([[0, 257, 1000, 65535]], np.uint16)
    decoded = np.asarray(decoding.decode(encoded(PIL.Image.fromarray(deep), format="png"), "x", 1))
    assert decoded.tolist() == [[0, 1, 4, 255]]


def test_pictures_are_turned_upright_as_their_camera_says():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    for orientation in range(1, 9):
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        # How a camera that was held so would have stored it.
        turned = {
            1: image, 2: image[:, ::-1], 3: image[::-1, ::-1], 4: image[::-1],
            5: image.T, 6: np.rot90(image), 7: image[::-1, ::-1].T, 8: np.rot90(image, -1),
        }[orientation]  # fmt: skip
        content = encoded(PIL.Image.fromarray(np.ascontiguousarray(turned)), format="png", exif=exif)
        np.testing.assert_array_equal(np.asarray(decoding.decode(content, "x", 1)), image)
        assert decoding.look(content, "x") == ((2, 3), 1)


def test_a_large_jpeg_that_is_decoded_smaller_shows_the_same():
    ramp = np.add.outer(np.arange(800) // 8, np.arange(1200) // 8).astype(np.uint8)
    content = encoded(PIL.Image.fromarray(ramp), format="jpeg")
    small = decoding.decode(content, "x", 1, least=40)
    assert small.size == (150, 100)
    whole = geometry.fitted(decoding.decode(content, "x", 1), (40, 40))
    np.testing.assert_allclose(geometry.fitted(small, (40, 40)).astype(int), whole, atol=2)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (7, 300)])
def test_the_smallest_pictures_are_brought_to_size(tmp_path, size):
    for name in ("a", "b"):
        save(tmp_path / "train" / name / "x.png", colour(size, RED))
    example = load(tmp_path, image_size=(16, 24)).example(0)
    assert example["image"].shape == (16, 24, 3)
    assert example["image"][8, 12].tolist() == list(RED)


def test_the_middle_is_kept_with_its_proportions():
    image = np.zeros((40, 100), np.uint8)
    image[10:30, 40:60] = 255
    whole, cut = (geometry.fitted(PIL.Image.fromarray(image), (20, 20), crop) for crop in (1.0, 0.5))
    assert (whole[6:14, 6:14] == 255).all()
    assert whole[:4].max() == whole[:, :4].max() == 0
    assert (cut == 255).all()
    same = np.arange(400, dtype=np.uint8).reshape(20, 20)
    np.testing.assert_array_equal(geometry.fitted(PIL.Image.fromarray(same), (20, 20))[..., 0], same)


def truncated(path):
    path.write_bytes(path.read_bytes()[:150])


def not_a_picture(path):
    path.unlink()
    path.with_suffix(".jpg").write_text("to do: scan this one")


def a_link_to_itself(path):
    path.unlink()
    path.symlink_to(path)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncated, r"0.png cannot be read as a picture: \w+"),
        (not_a_picture, "0.jpg cannot be read as a picture: it has none of the formats that Pillow knows"),
        (a_link_to_itself, "0.png cannot be read: Too many levels of symbolic links"),
        (empty, "0.png cannot be read as a picture: it is empty"),
    ],
)
def test_a_bad_picture_is_named_or_skipped_and_counted(folder, damage, reason):
    damage(folder / "train" / "three" / "0.png")
    with pytest.raises(data.DataError, match=f"train/three/{reason}") as caught:
        data.in_memory(load(folder))
    assert "\n" not in str(caught.value)
    with pytest.warns(data.DataWarning, match=f"^1 of 12 pictures of train of folder:.* are skipped: .*{reason}"):
        sound = load(folder, skip_bad=True)
    assert np.bincount(sound.labels).tolist() == [6, 5]
    assert len(data.in_memory(sound)) == 11


@pytest.mark.filterwarnings("ignore::awn_jax.data.DataWarning")
def test_a_folder_of_bad_pictures_alone_is_refused(folder):
    for path in folder.glob("train/*/*.png"):
        empty(path)
    with pytest.raises(data.DataError, match=r"must hold pictures that can be read, got 12 that cannot: .*it is empty"):
        load(folder, skip_bad=True)


def one_class(folder):
    for split in ("train", "test"):
        shutil.rmtree(folder / split / "eight")


def other_case(folder):
    shutil.copytree(folder / "train" / "three", folder / "train" / "Three")


def link_back(folder):
    (folder / "train" / "loop").symlink_to(folder / "train")


def a_folder_in_a_class(folder):
    (folder / "train" / "three" / "more").mkdir()


def no_classes(folder):
    for path in list(folder.glob("*/*/*.png")):
        path.rename(path.parent.parent / f"{path.parent.name}_{path.name}")
    for path in folder.glob("*/*/"):
        path.rmdir()


def nothing(folder):
    shutil.rmtree(folder / "train")
    shutil.rmtree(folder / "test")


def no_split(folder):
    (folder / "train").rename(folder / "training")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (one_class, "must hold at least 2 classes to tell apart, got 1: 'three'"),
        (other_case, "must differ in more than capital letters, got 'Three' and 'three'"),
        (link_back, "train/loop must not lead back to a folder that it lies in, got a link to"),
        (a_folder_in_a_class, "three/more must be a picture, got a folder"),
        (no_classes, "train must hold a folder for each class, got pictures"),
        (nothing, "must hold a folder for each class, or one for each split with those in it, got none"),
        (no_split, "must hold a folder 'train', got test, training: which is which, data.test_split says"),
        (lambda folder: shutil.rmtree(folder), "must be a folder of pictures, and is not there"),
    ],
)
def test_a_folder_that_cannot_be_meant_is_one_clear_line(folder, change, message):
    change(folder)
    with pytest.raises(data.DataError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_what_is_left_out_is_said(folder):
    (folder / "train" / "three" / "notes.txt").write_text("")
    (folder / "train" / "three" / ".hidden").write_text("")
    with pytest.warns(data.DataWarning, match=r"left out, since they are not .*: 1 of type \.txt"):
        assert len(load(folder)) == 12


def test_pictures_of_several_sizes_need_one(folder):
    save(folder / "train" / "three" / "0.png", colour((30, 28), RED))
    with pytest.raises(
        data.DataError, match=r"data.image_size must be given .*three/0.png has 30 × 28, others have 28 × 28"
    ):
        data.in_memory(load(folder))
    sized = data.in_memory(load(folder, image_size=(16,)))
    # One coloured picture makes the set coloured.
    assert sized.images.shape == (12, 16, 16, 3)


def test_a_replaced_folder_is_noticed(folder, digits):
    config = configs.parse({"model": {"name": "lenet_3c1l"}, "data": {"name": f"folder:{folder}"}})
    images = load(folder)
    run.save(run.begin(folder, config, images))
    again = run.begin(folder, config, load(folder))
    assert again.facts.class_names == ("eight", "three")
    assert again.facts.mean == data.sample_moments(images)[0]
    (folder / "train" / "three" / "0.png").rename(folder / "train" / "three" / "00.png")
    with pytest.raises(run.RunError, match="was begun with other training images than folder:"):
        run.begin(folder, config, load(folder))
    (folder / "train" / "three" / "00.png").rename(folder / "train" / "three" / "0.png")
    run.begin(folder, config, load(folder))
    # Another picture in the same number of bytes.
    path = folder / "train" / "three" / "5.png"
    save(path, np.zeros_like(digits.images[0]), compress_level=0)
    run.save(dataclasses.replace(again, facts=run.Facts.of(config, load(folder))))
    size = path.stat().st_size
    save(path, digits.images[0], compress_level=0)
    assert path.stat().st_size == size
    with pytest.raises(run.RunError, match="was begun with other training images"):
        run.begin(folder, config, load(folder))


def test_a_run_does_not_take_images_of_other_classes(folder):
    config = configs.parse({"model": {"name": "lenet_3c1l"}, "data": {"name": f"folder:{folder}"}})
    begun = run.begin(folder, config, load(folder))
    assert begun.images("test").class_names == ("eight", "three")
    for split in ("train", "test"):
        (folder / split / "three").rename(folder / split / "drei")
    with pytest.raises(run.RunError, match="has classes eight, three, those of test are drei, eight"):
        begun.images("test")


def test_grey_test_pictures_of_a_coloured_set_are_made_coloured(folder):
    for path in folder.glob("train/*/*.png"):
        PIL.Image.open(path).convert("RGB").save(path)
    config = configs.parse({"model": {"name": "lenet_3c1l"}, "data": {"name": f"folder:{folder}"}})
    begun = run.begin(folder, config, load(folder))
    assert begun.facts.image_size == begun.images("test").image_size == (28, 28, 3)


@pytest.mark.skipif(os.name != "posix", reason="names of files are text there")
def test_names_that_are_no_text_are_shown(folder):
    for split in ("train", "test"):
        os.rename(os.fsencode(folder / split / "three"), os.fsencode(folder / split) + b"/thr\xff")
    assert load(folder).class_names == ("eight", "thr?")
    assert len(data.in_memory(load(folder))) == 12
