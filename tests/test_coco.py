"""Sets as COCO writes them: what is read is what is in the files, and what is wrong with a file is said in one line."""

import copy
import pickle
import re

import numpy as np
import PIL.Image
import pytest

from awn_jax import data
from tests import annotated

EVERY = ("boxes", "instances", "points")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "digits"
    return folder, annotated.write(folder, "train", 8)


def load(folder, **options):
    return data.load(f"coco:{folder}", "train", **{"entries": EVERY, **options})


def test_objects_are_read_with_their_masks_and_points(written):
    folder, content = written
    found = load(folder)
    assert (len(found), found.image_size, found.class_names, found.point_names) == (
        8,
        (*annotated.SIZE, 1),
        annotated.CLASS_NAMES,
        annotated.POINT_NAMES,
    )
    for image in content["images"]:
        one, objects = (
            found.example(image["id"] - 1),
            [a for a in content["annotations"] if a["image_id"] == image["id"]],
        )
        assert (one["categories"] >= 0).sum() == len(objects)
        np.testing.assert_array_equal(one["instances"] > 0, one["image"][..., 0] > 0)
        for number, (box, annotation) in enumerate(zip(one["boxes"], objects, strict=False)):
            rows, columns = np.nonzero(one["instances"] == number + 1)
            np.testing.assert_array_equal(box, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            assert one["categories"][number] == annotation["category_id"] // 10 - 1
            np.testing.assert_array_equal(one["points"][number].reshape(-1), annotation["keypoints"])
        assert not one["boxes"][len(objects) :].any()
    assert {len(example["boxes"]) for example in map(found.example, range(8))} == {2}


def test_only_what_is_wanted_is_made_and_workers_get_copies(written):
    found = pickle.loads(pickle.dumps(load(written[0], entries=("boxes",))))
    assert set(found.example(0)) == {"image", "label", "boxes", "categories", "crowd", "frame"}
    assert data.in_memory(found.select([3, 0])).more["boxes"].shape == (2, 2, 4)


def test_polygons_and_crowds_are_masks_as_well(written, tmp_path):
    content = copy.deepcopy(annotated.write(tmp_path, "train", 1))
    one, other = content["annotations"]
    one["segmentation"], one["bbox"] = [[2, 3, 10, 3, 10, 9, 2, 9]], [2, 3, 8, 6]
    whole = np.ones(annotated.SIZE, np.uint8)
    other["iscrowd"], other["segmentation"] = 1, {"size": list(annotated.SIZE), "counts": [0, int(whole.size)]}
    annotated.store(tmp_path, "train", content)
    found = load(tmp_path).example(0)
    expected = np.full(annotated.SIZE, 2)
    expected[3:9, 2:10] = 1  # of several, the one that is no crowd
    np.testing.assert_array_equal(found["instances"], expected)
    np.testing.assert_array_equal(found["crowd"], [False, True])


def changed(name, number=0, **fields):
    def change(content):
        content[name][number].update(fields)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            changed("annotations", category_id=7),
            "annotation 1 of .* must have a category of its list (10: even, 20: odd), got 7",
        ),
        (changed("annotations", image_id=99), "annotation 1 of .* must have the id of an image of its list, got 99"),
        (
            changed("annotations", bbox=[60, 2, 5, 5]),
            "bbox of annotation 1 of .* must lie in its image 1.png of 32 × 48 pixels, got [60, 2, 5, 5]",
        ),
        (
            changed("annotations", bbox=[6, 2, 0, 5]),
            "bbox of annotation 1 of .* must have a width and a height above 0, got [6, 2, 0, 5]",
        ),
        (
            changed("annotations", bbox="wide"),
            "bbox of annotation 1 of .* must be left, upper, width and height, got 'wide'",
        ),
        (
            changed("annotations", segmentation={"size": [31, 48], "counts": "0"}),
            "segmentation of annotation 1 of .* must have the size of its image 1.png, 32 × 48, got [31, 48]",
        ),
        (
            changed("annotations", segmentation=None),
            "segmentation of annotation 1 of .* must be polygons or run lengths, got None",
        ),
        (
            changed("annotations", keypoints=[1, 2]),
            "keypoints of annotation 1 of .* must be 6 numbers, x, y and visibility of top, bottom, got 2",
        ),
        (changed("images", height=33), "segmentation of annotation 1 of .* must have the size of its image"),
        (changed("images", file_name="none.png"), "none.png cannot be read: No such file"),
        (lambda content: content.update(images=[]), "train.json must list at least one image, got none"),
        (lambda content: content.update(categories=[]), "train.json must list at least one category, got none"),
        (lambda content: content.pop("annotations"), "train.json must hold lists images, annotations, categories"),
        (
            lambda content: content["annotations"].append(3),
            "annotations of .* must be objects with an id, got 3 as number",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(written, tmp_path, change, message):
    content = copy.deepcopy(annotated.write(tmp_path, "train", 1))
    change(content)
    annotated.store(tmp_path, "train", content)
    with pytest.raises(data.DataError, match=".*".join(map(re.escape, message.split(".*")))) as caught:
        data.in_memory(load(tmp_path))
    assert "\n" not in str(caught.value)


def test_an_object_that_reaches_past_its_image_ends_at_the_edge(tmp_path):
    content = copy.deepcopy(annotated.write(tmp_path, "train", 1))
    content["annotations"][0]["bbox"] = [-3, 2, 10, 100]
    annotated.store(tmp_path, "train", content)
    np.testing.assert_array_equal(load(tmp_path).example(0)["boxes"][0], (0, 2, 7, annotated.SIZE[0]))


def test_pictures_that_are_damaged_or_of_another_size_are_named(tmp_path):
    annotated.write(tmp_path, "train", 2)
    picture = tmp_path / "train" / "2.png"
    PIL.Image.new("L", (9, 9)).save(picture)
    with pytest.raises(data.DataError, match=r"2\.png must have the size that its annotations say, 32 × 48, got 9 × 9"):
        load(tmp_path, image_size=(16,)).example(1)
    picture.write_bytes(b"no picture")
    with pytest.raises(data.DataError, match=r"2\.png cannot be read as a picture"):
        data.in_memory(load(tmp_path, image_size=(16,)))
    with pytest.warns(data.DataWarning, match="1 of 2 pictures .* are skipped"):
        assert len(data.in_memory(load(tmp_path, image_size=(16,), skip_bad=True))) == 1


@pytest.mark.parametrize(
    ("split", "entries", "message"),
    [
        ("test", EVERY, r"test\.json cannot be read: No such file or directory; splits with a \.json there: train"),
        ("train", ("label",), r"coco:.* has objects and no class for a whole image"),
    ],
)
def test_a_split_or_a_task_that_does_not_go_with_a_set_is_refused(written, split, entries, message):
    with pytest.raises(data.DataError, match=message):
        data.load(f"coco:{written[0]}", split, entries=entries)
