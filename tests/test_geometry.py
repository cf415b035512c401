"""What has a place in an image moves with it: boxes, points and the pixels of objects, wherever a transform takes them."""

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from awn_jax.data import geometry, transforms
from awn_jax.data.images import ImageSet
from awn_jax.data.sources import load

SIZE = (24, 24)


def example(height, width, box, size=None):
    """One bright rectangle, an object of category 3, with points at two of its corners; and room for a second object."""
    left, upper, right, lower = box
    instances = np.zeros((height, width), np.int16)
    instances[upper:lower, left:right] = 1
    return {
        "image": PIL.Image.fromarray((200 * instances).astype(np.uint8)),
        "label": np.int32(0),
        "instances": instances,
        "boxes": np.array([box, (0, 0, 0, 0)], np.float32),
        "categories": np.array([3, -1], np.int32),
        "points": np.array([[(left, upper, 2), (right, lower, 2)], [(0, 0, 0)] * 2], np.float32),
        "frame": np.array([0, 0, width, height], np.float32),
    }


def check(found, near):
    """The rectangle is where its box, its points and its pixels say, to `near` pixels."""
    image, instances = np.asarray(found["image"]), np.asarray(found["instances"])
    image = image[..., 0] if image.ndim == 3 else image
    assert image.shape == instances.shape
    rows, columns = np.nonzero(instances)
    box, points = np.asarray(found["boxes"][0]), np.asarray(found["points"])
    assert (np.abs(image.astype(int) - 200 * instances) > 100).sum() <= near * (2 * len(image) + 2 * len(image[0]))
    assert found["categories"].tolist() == ([3, -1] if (box[2:] - box[:2] >= 1).all() else [-1, -1])
    if len(rows):
        seen = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        np.testing.assert_allclose(box, seen, atol=near)
    inside = ((points[0, :, :2] >= 0) & (points[0, :, :2] <= image.shape[::-1])).all(-1)
    np.testing.assert_array_equal(points[0, :, 2] > 0, inside)
    if inside.all():
        corners = {(round(float(x)), round(float(y))) for x, y, _ in points[0]}
        assert corners <= {(round(float(x)), round(float(y))) for x in box[::2] for y in box[1::2]}
    assert not points[1, :, 2].any()


@pytest.mark.parametrize("name", ["flip", "flip_vertical", "transpose", "crop_flip(shift=9)", "shift(shift=9)"])
def test_on_the_device_objects_move_with_their_pixels(name):
    one = {**example(*SIZE, (3, 5, 10, 20)), "image": np.asarray(example(*SIZE, (3, 5, 10, 20))["image"])[..., None]}
    batch = {key: np.stack([value] * 16) for key, value in one.items()}
    (change,) = transforms.parse(name, {}).device
    found = jax.device_get(jax.jit(change)(jax.random.key(0), batch))
    assert len({image.tobytes() for image in found["image"]}) > 1
    for index in range(16):
        check({key: value[index] for key, value in found.items()}, 0)


def test_points_of_a_pair_change_places_where_an_image_is_mirrored():
    one = {**example(*SIZE, (3, 5, 10, 20)), "image": np.zeros((*SIZE, 1), np.uint8)}
    batch = {key: jnp.asarray(value[None]) for key, value in one.items()}
    for name in ("flip", "flip_vertical", "transpose"):
        moved, paired = (
            next(
                points
                for seed in range(9)
                if not np.array_equal(
                    points := np.asarray(change(jax.random.key(seed), batch)["points"]), batch["points"]
                )
            )
            for change in (*transforms.parse(name, {}).device, *transforms.parse(f"{name}(pairs=((0, 1),))", {}).device)
        )
        np.testing.assert_array_equal(moved[:, :, ::-1], paired)


@pytest.mark.parametrize("name", ["random_resized_crop(least=0.2)", "scale_jitter(least=0.4, most=3.0)"])
def test_where_images_are_read_objects_move_with_their_pixels(name):
    (change,) = transforms.parse(name, {"size": SIZE}).host
    for seed in range(30):
        found = change(np.random.default_rng(seed), example(40, 60, (10, 12, 30, 25)))
        assert found["image"].size == SIZE[::-1]
        check(found, 1.01)
        # What the image shows of the picture as it was written takes its box back to where it was.
        left, upper, right, lower = found["frame"]
        scale = np.array([(right - left) / SIZE[1], (lower - upper) / SIZE[0]])
        back = found["points"][0, :, :2] * scale + (left, upper)
        np.testing.assert_allclose(back, [(10, 12), (30, 25)], atol=1e-3)


@pytest.mark.parametrize(
    ("fit", "box"), [("crop", (0, 7.2, 12, 15)), ("pad", (4, 8.8, 12, 14)), ("stretch", (4, 7.2, 12, 15))]
)
def test_a_picture_is_cropped_padded_or_stretched_with_its_objects(fit, box):
    one = example(40, 60, (10, 12, 30, 25))
    found = geometry.moved(one, geometry.part((60, 40), SIZE, 1.0, fit), SIZE)
    np.testing.assert_allclose(found["boxes"][0], box, atol=0.01)
    check(found, 1.01)


def test_what_pads_a_picture_is_black():
    white = PIL.Image.new("RGB", (30, 10), "white")
    found = geometry.fitted(white, SIZE, fit="pad")
    np.testing.assert_array_equal((found > 127).all((1, 2)), [False] * 8 + [True] * 8 + [False] * 8)


@pytest.mark.parametrize("name", ["mixup(classes=3)", "cutmix(classes=3)", "rand_augment"])
def test_transforms_that_would_leave_objects_behind_are_refused(name):
    found = transforms.parse(name, {})
    one = example(*SIZE, (3, 5, 10, 20))
    source = np.random.default_rng(0) if found.host else jax.random.key(0)
    with pytest.raises(ValueError, match=f"augment: {name.partition('(')[0]} does not move objects along"):
        (*found.host, *found.device)[0](source, one)


def test_a_task_that_needs_more_than_labels_names_what_a_set_lacks():
    with pytest.raises(
        ValueError, match=r"data\.name must be a set whose examples have boxes for this task, got 'digits'"
    ):
        load("digits", "train", entries=("boxes",))


def test_a_set_in_memory_keeps_what_goes_with_its_images():
    images = np.zeros((3, 4, 4, 1), np.uint8)
    whole = ImageSet(images, np.zeros(3, np.int32), 1, more={"boxes": np.arange(24, dtype=np.float32).reshape(3, 2, 4)})
    part = whole.select([2, 0])
    np.testing.assert_array_equal(part.gathered(["boxes"])["boxes"], whole.more["boxes"][[2, 0]])
    np.testing.assert_array_equal(part.example(1)["boxes"], whole.take(1).batch(np.array([0]))["boxes"][0])
    with pytest.raises(ValueError, match="boxes must be of 3 images, got 2"):
        ImageSet(images, np.zeros(3, np.int32), 1, more={"boxes": np.zeros((2, 2, 4))})
