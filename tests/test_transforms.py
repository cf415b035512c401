"""What training does to images, where they are read and on the device."""

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from awn_jax import data
from awn_jax.data import transforms
from awn_jax.data.transforms import device, mixing, pictures, policy

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
GIVEN = {"shift": 4, "classes": 10, "size": (8, 8)}


def batch(images, labels=None):
    labels = np.arange(len(images)) % 10 if labels is None else labels
    return {"image": jnp.asarray(images), "label": jnp.asarray(labels, jnp.int32)}


def test_names_are_parsed_with_their_options_and_by_where_they_run():
    found = transforms.parse("random_resized_crop(least=0.3), flip, mixup(alpha=0.4, share=0.5)", GIVEN)
    assert [one.func for one in found.host] == [pictures.random_resized_crop]
    assert found.host[0].keywords == {"size": (8, 8), "least": 0.3}
    assert [one.func for one in found.device] == [device.flip, mixing.mixup]
    assert found.device[1].keywords == {"classes": 10, "alpha": 0.4, "share": 0.5}
    assert transforms.parse("none", GIVEN) == data.UNCHANGED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flap", "augment must be one of colour_jitter, crop_flip, cutmix, .*, or module:Name, got 'flap'"),
        ("flip, none", "augment must be 'none' alone"),
        ("flip,", "augment must be one of .* got ''"),
        ("math:pi", "augment must be functions .*'math:pi'"),
        ("math:hypot(turn=1)", "augment must be functions .*'math:hypot'.*'turn'"),
        ("flip(0.5)", r"augment must have options as in 'mixup\(alpha=0.2\)', got 'flip\(0.5\)': options have names"),
        ("mixup(alpha=0.2", "augment must have options as in"),
        ("mixup(alpha=lambda: 1)", "augment must have options as in"),
        ("mixup(beta=1)", "augment must be functions .*'mixup'.*'beta'"),
        ("mixup(alpha=-1)", r"augment: alpha of mixup must be a number in \[0.001, 1000\], got -1"),
        ("cutmix(share=2)", r"augment: share of cutmix must be a number in \[0, 1\], got 2"),
        ("rand_augment(count=1.5)", r"augment: count of rand_augment must be a whole number in \[0, 100\], got 1.5"),
        ("rand_augment(strength='9')", "augment: strength of rand_augment must be a number in .*, got '9'"),
        (
            "flip, rand_augment",
            "augment must name transforms where images are read before .* got 'rand_augment' behind 'flip'",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text, message):
    with pytest.raises(ValueError, match=message):
        data.Preparation((0.5,), (0.5,), text)


def test_crop_flip_shifts_by_at_most_four_and_mirrors_half(digits):
    images = digits.images[:64]
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    changed = np.asarray(device.crop_flip(jax.random.key(0), batch(images))["image"])
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


def test_a_flip_mirrors_about_half_and_changes_nothing_else(digits):
    images = digits.images[:64]
    changed = np.asarray(device.flip(jax.random.key(0), batch(images))["image"])
    same, mirrored = ((changed == other).all((1, 2, 3)) for other in (images, images[:, :, ::-1]))
    assert (same | mirrored).all()
    assert 16 < mirrored.sum() < 48


def test_jitter_without_strength_changes_nothing_and_with_it_each_image_otherwise():
    still = device.colour_jitter(jax.random.key(0), batch(IMAGES), 0.0, 0.0, 0.0)["image"]
    np.testing.assert_array_equal(still, IMAGES)
    grey = np.full((5, 4, 4, 3), 100, np.uint8)
    brighter = np.asarray(device.colour_jitter(jax.random.key(0), batch(grey), 0.3)["image"])
    # A grey area has neither contrast nor colour: its brightness alone changes.
    assert (brighter == brighter[:, :1, :1, :1]).all()
    assert brighter.min() >= 70
    assert brighter.max() <= 130
    assert len(set(brighter[:, 0, 0, 0].tolist())) == 5
    floats = device.colour_jitter(jax.random.key(0), batch((grey / 255).astype(np.float32)), 0.3)["image"]
    np.testing.assert_allclose(floats * 255, brighter, atol=0.51)


def test_mixup_shares_labels_as_it_shares_images():
    # Each image shows its own class alone: plane k is white in images of class k.
    labels = np.array([0, 1, 2, 0, 1, 2])
    images = np.zeros((6, 2, 2, 3), np.float32)
    images[np.arange(6), :, :, labels] = 1
    mixed = mixing.mixup(jax.random.key(0), batch(images, labels), 3, alpha=1.0)
    np.testing.assert_allclose(mixed["image"][:, 0, 0], mixed["label"], atol=1e-6)
    np.testing.assert_allclose(mixed["label"].sum(-1), 1, atol=1e-6)
    assert ((mixed["label"] > 0.01).sum(-1) == 2).all()
    # Mixed again, from shares.
    twice = mixing.mixup(jax.random.key(1), mixed, 3, alpha=1.0)
    np.testing.assert_allclose(twice["image"][:, 0, 0], twice["label"], atol=1e-6)
    none = mixing.mixup(jax.random.key(0), batch(images, labels), 3, share=0.0)
    np.testing.assert_array_equal(none["image"], images)
    np.testing.assert_array_equal(none["label"], np.eye(3)[labels])


def test_cutmix_shares_labels_by_area():
    labels = np.arange(32) % 3
    images = np.zeros((32, 16, 16, 3), np.uint8)
    images[np.arange(32), :, :, labels] = 255
    mixed = mixing.cutmix(jax.random.key(0), batch(images, labels), 3)
    share = (np.asarray(mixed["image"]) == 255).mean((1, 2))
    np.testing.assert_allclose(share, mixed["label"], atol=1e-6)
    # What comes in is one rectangle.
    came = np.asarray(mixed["image"])[np.arange(32), :, :, (labels - 1) % 3] == 255
    assert len({int(each.sum()) for each in came}) > 10
    for each in came:
        rows, columns = each.any(1), each.any(0)
        np.testing.assert_array_equal(each, rows[:, None] & columns[None])
        assert (np.diff(np.flatnonzero(rows)) == 1).all()
        assert (np.diff(np.flatnonzero(columns)) == 1).all()


@pytest.mark.parametrize("name", ["crop_flip", "colour_jitter, mixup, cutmix"])
def test_double_precision_and_strict_ranks_change_nothing(name):
    key = jax.random.key(1)
    preparation = data.Preparation((0.3,) * 3, (0.3,) * 3, name, classes=10)
    expected = preparation.for_training(key, batch(IMAGES))
    with jax.enable_x64(True), jax.numpy_rank_promotion("raise"):
        found = preparation.for_training(key, batch(IMAGES))
    assert found["image"].dtype == jnp.float32
    for one in expected:
        assert found[one].dtype == expected[one].dtype
        np.testing.assert_allclose(found[one], expected[one], atol=1e-6)


def crops(picture, count, **options):
    rng = np.random.default_rng(0)
    return [pictures.random_resized_crop(rng, {"image": picture}, (8, 8), **options)["image"] for _ in range(count)]


def test_a_random_crop_has_the_area_and_the_place_it_draws():
    # Pixels say where they are: one plane the column, one the row.
    width, height = 200, 120
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    picture = PIL.Image.fromarray(np.stack([columns, rows, 0 * rows], -1).astype(np.uint8))
    shares, places = [], []
    for crop in crops(picture, 300, least=0.25):
        assert crop.size == (8, 8)
        x, y = (np.asarray(crop)[..., plane].astype(float) for plane in (0, 1))
        across, down = ((values[-1, -1] - values[0, 0]) * 8 / 7 for values in (x, y))
        shares.append(across * down / (width * height))
        places.append((x.mean() / width, y.mean() / height))
        assert 0.7 < across / down < 1.42
    assert 0.2 < min(shares) < 0.3
    # A square of the largest area, stretched by 4/3 at most, holds 0.8 of this picture.
    assert 0.6 < max(shares) < 0.85
    assert np.ptp(places, 0).min() > 0.25


def test_a_picture_too_long_for_any_crop_gives_its_middle():
    picture = PIL.Image.fromarray(np.arange(1000, dtype=np.uint16).astype(np.uint8)[None].repeat(2, 0))
    assert all(np.asarray(crop).shape == (8, 8) for crop in crops(picture, 20, least=0.9))


@pytest.mark.parametrize("planes", [1, 3])
def test_each_operation_of_the_policy_keeps_size_and_kind(planes):
    # Neither the darkest nor the brightest there is, which a stretch of contrast would leave alone.
    array = np.random.default_rng(0).integers(20, 150, (32, 32, 3), np.uint8)
    array = np.ascontiguousarray(array[..., 0]) if planes == 1 else array
    picture = PIL.Image.fromarray(array)
    unchanged = ("identity", "colour") if planes == 1 else ("identity",)
    for name, operation in policy.OPERATIONS.items():
        for sign in (-1, 1):
            changed = operation(picture, 0.9, sign)
            assert (changed.size, changed.mode) == (picture.size, picture.mode), name
            assert name in unchanged or not np.array_equal(np.asarray(changed), array), name
    rng = np.random.default_rng(0)
    seen = {policy.rand_augment(rng, {"image": picture, "label": 3})["image"].tobytes() for _ in range(30)}
    assert len(seen) > 20


OWN = """
from awn_jax import data

def invert(key, examples, shift, by=255):
    return {**examples, "image": by - examples["image"] - shift}

def floats(key, examples):
    return {**examples, "image": examples["image"] / 255}

def bare(key, examples):
    return examples["image"]

@data.on_host
def label_as_grey(rng, example, size):
    return {**example, "image": example["image"].point(lambda value: example["label"])}
"""


def test_ones_own(tmp_path, monkeypatch, digits):
    (tmp_path / "own_transforms.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    images, key = IMAGES // 2, jax.random.key(0)
    make = lambda *arguments: data.Preparation((0.5,) * 3, (0.25,) * 3, *arguments)  # noqa: E731
    prepared = lambda *arguments: make(*arguments).for_training(key, batch(images))["image"]  # noqa: E731
    plain = make().normalised
    np.testing.assert_array_equal(prepared("own_transforms:invert", 3), plain(jnp.asarray(255 - images - 3)))
    np.testing.assert_array_equal(prepared("own_transforms:invert(by=200)", 3), plain(jnp.asarray(200 - images - 3)))
    # Floats of 1 for white, among bytes of 255, would be normalised as what they were not.
    for name, kind in (("floats", "float32"), ("bare", "uint8")):
        with pytest.raises(ValueError, match=f"augment must return examples .* type uint8.* got .*{kind} from 'own_t"):
            prepared(f"own_transforms:{name}")
    found = make("own_transforms:label_as_grey, flip").transforms
    assert (len(found.host), len(found.device)) == (1, 1)
    feed = data.make_feed(digits.take(16), data.data_mesh(), seed=0, batch_size=8, transforms=found, kind="host")
    read = feed.steps(0, 1)
    np.testing.assert_array_equal(read["image"][0, :, 0, 0, 0], read["label"][0])
