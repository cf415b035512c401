"""`awn_jax.load` and `python -m awn_jax.predict`: pictures in, class names out."""

import json

import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

import awn_jax
from awn_jax import data
from awn_jax.errors import UserError
from awn_jax.export import __main__ as export
from awn_jax.predict import __main__ as command
from awn_jax.predict import pictures


@pytest.fixture(scope="module")
def trained():
    return awn_jax.load("digits")


@pytest.fixture(scope="module")
def held_out():
    return data.load("digits", "test").take(3)


@pytest.fixture
def files(held_out, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, image in zip(paths, held_out.images, strict=True):
        PIL.Image.fromarray(image[..., 0]).save(path)
    return paths


def labels(answers):
    return [answer.label for answer in answers]


def test_answers_are_those_of_the_network(trained, held_out):
    answers = trained.predict(held_out.images, 0.5)
    x = trained._preparation.normalised(jnp.asarray(held_out.images))
    logits = np.asarray(trained.network(x, 0.5))
    for answer, row in zip(answers, logits, strict=True):
        shares = np.exp(row) / np.exp(row).sum()
        np.testing.assert_allclose(answer.probabilities, shares, rtol=1e-4, atol=1e-6)
        assert answer.label == answer.class_names[row.argmax()] == answer.top(1)[0][0]
        assert answer.width == 0.5
        assert answer.macs == awn_jax.cost(trained.network, (28, 28, 1), 0.5).macs
    assert labels(answers) == [str(label) for label in held_out.labels]


def test_every_form_of_an_image_gives_the_same_answer(trained, held_out, files):
    picture = PIL.Image.open(files[0])
    square = held_out.images[0]
    forms = [files[0], str(files[0]), picture, square, square[..., 0], square.astype(np.float32) / 255]
    wanted = trained.predict(held_out.images, 0.5)[0]
    for form in forms:
        answer = trained.predict(form, 0.5)
        np.testing.assert_allclose(answer.probabilities, wanted.probabilities, rtol=1e-4, atol=1e-6)
    assert labels(trained.predict(files, 0.5)) == labels(trained.predict(held_out.images, 0.5))


def test_limits_choose_the_width(trained, held_out):
    assert [answer.width for answer in trained.predict(held_out.images, confidence=0.0)] == [0.25] * 3
    assert min(answer.width for answer in trained.predict(held_out.images, confidence=1.0)) > 0.25
    assert trained.predict(held_out.images[0], deadline_s=60.0).width == 1.0
    with pytest.raises(ValueError, match="width must be None with deadline_s or confidence, got 1"):
        trained.predict(held_out.images, 1, confidence=0.5)
    with pytest.raises(ValueError, match=r"width must be in \(0, 1\], got 2"):
        trained.predict(held_out.images, 2)


def test_pictures_are_turned_covered_and_blended(tmp_path):
    # White on the left, black on the right; the camera says that it lay on its side.
    wide = np.zeros((8, 20, 3), np.uint8)
    wide[:, :10] = 255
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(wide).save(tmp_path / "wide.png", exif=exif)
    (turned,), _ = pictures.batch([tmp_path / "wide.png"], (8, 8, 1))
    assert turned[0].min() > 200
    assert turned[-1].max() < 50
    # What is transparent is white, whatever colour hides there.
    hidden = np.zeros((8, 8, 4), np.uint8)
    hidden[4:, :, 3] = 255
    (blended,), _ = pictures.batch([PIL.Image.fromarray(hidden)], (8, 8, 3))
    assert blended[:4].min() == 255
    assert blended[4:].max() == 0
    # Of the right size nothing is changed.
    exact = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    assert np.array_equal(pictures.batch(exact, (8, 8, 3))[0][0], exact)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([], "images must be one or more, got none"),
        (np.zeros((8, 8, 2), np.uint8), "must be of type uint8 with 1, 3 or 4 planes"),
        (np.zeros((9, 8)), "of floats, must have the network's size"),
        (np.full((8, 8), np.nan), "finite floats where white is 1"),
        (np.zeros((8, 8), np.int64), "must be of type uint8"),
        (np.zeros(3), r"must have shape \[height, width, planes\], got \(3,\)"),
        ("gone.png", "gone.png is not there"),
    ],
)
def test_what_is_no_image_is_refused(image, message):
    with pytest.raises(pictures.PictureError, match=message):
        pictures.batch(image, (8, 8, 1))


def test_damaged_pictures_are_named(tmp_path, files):
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(pictures.PictureError, match=r"text\.jpg cannot be read as a picture: it has none of the"):
        pictures.batch(tmp_path / "text.jpg", (8, 8, 1))
    files[0].write_bytes(files[0].read_bytes()[:-40])
    with pytest.raises(pictures.PictureError, match=r"0\.png cannot be read as a picture: "):
        pictures.batch(files[0], (8, 8, 1))


def test_a_workdir_and_a_bundle_answer_alike(trained_run, held_out, tmp_path):
    run = awn_jax.load(trained_run)
    out = tmp_path / "net.safetensors"
    export.run(export.parse_arguments([f"--workdir={trained_run}", "--to=bundle", "--widths", "0.5", f"--out={out}"]))
    bundle = awn_jax.load(out)
    for ours, theirs in zip(run.predict(held_out.images, 0.5), bundle.predict(held_out.images, 0.5), strict=True):
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-4)
        assert theirs.macs is None
    with pytest.raises(UserError, match=r"width must be one that .* holds, 0\.5; got 0\.25"):
        bundle.predict(held_out.images, 0.25)
    with pytest.raises(UserError, match="a bundle holds single widths: give a width"):
        bundle.predict(held_out.images, confidence=0.5)


# ── the command


def test_the_command_prints_a_table_and_json(files, held_out, capsys):
    paths = list(map(str, files))
    command.main([*paths, "--weights=digits", "--width=1/4,0.5"])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["image", "at", "0.25", "at", "0.5"]
    assert [row.split()[1] for row in rows] == [str(label) for label in held_out.labels]
    command.main([*paths, "--weights=digits", "--confidence=0.5", "--json"])
    entries = json.loads(capsys.readouterr().out)
    assert [entry["image"] for entry in entries] == paths
    assert [entry["class"] for entry in entries] == [str(label) for label in held_out.labels]
    assert all(entry["width"] == 0.25 and len(entry["top"]) == 3 for entry in entries)


def test_the_command_knows_the_truth_of_test_images(capsys):
    command.main(["--test-images=2", "--weights=digits", "--width=0.5"])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["image", "truth", "class", "%", "width", "MACs", "else"]
    assert [row.split()[3:5] for row in rows] == [["6", "6"], ["6", "6"]]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["a.png", "--width=0.5", "--confidence=0.9"], "--width cannot be given with --confidence"),
        (["a.png", "--width=0.5", "--deadline-ms=5"], "--width cannot be given with --deadline-ms"),
        (["a.png", "--width=1.5"], "width must be a number in (0, 1], got 1.5"),
        (["a.png", "--width=0.5,x"], "width must be a number in (0, 1], got x"),
        (["a.png", "--confidence=1.5"], "must be in [0, 1], got 1.5"),
        (["a.png", "--deadline-ms=0"], "must be above 0 and finite, got 0"),
        (["a.png", "--test-images=2"], "either images or --test-images must be given, got both"),
        ([], "either images or --test-images must be given, got neither"),
    ],
)
def test_flags_that_make_no_sense_are_refused(capsys, flags, message):
    with pytest.raises(SystemExit):
        command.parse_arguments(["--weights=digits", *flags])
    assert message in capsys.readouterr().err
