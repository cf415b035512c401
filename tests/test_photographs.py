"""A folder of pictures of any size, from the files to the last sweep: with a validation split, in the middle of an epoch."""

import json
import multiprocessing

import jax
import numpy as np
import PIL.Image
import pytest
from flax import nnx

import awn_jax
from awn_jax import build, config, data, evaluation, open_run
from awn_jax.config.methods import update
from awn_jax.logs import HookError

STEPS = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory, digits):
    """Digits 0, 1 and 2 in files of several sizes: 16 of each to train, 4 to test."""
    place = tmp_path_factory.mktemp("digits")
    for label, name in enumerate(("nought", "one", "two")):
        for index, image in enumerate(digits.images[digits.labels == label][:20]):
            path = place / ("train" if index < 16 else "test") / name / f"{index:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(image.squeeze()).resize((24 + index, 40 - index)).save(path)
    return place


@pytest.fixture(scope="module")
def settings(folder):
    changes = {
        "model.channels": 4,
        "data.name": f"folder:{folder}",
        "data.image_size": (20,),
        "data.augment": "random_resized_crop(least=0.5), rand_augment(count=1), flip, shift, mixup, cutmix(share=0.5)",
        "data.validation": 0.25,
        "train.batch_size": 16,
        "train.epochs": 2.2,
        "train.log_every": 1,
        "train.steps_per_dispatch": 1,
        "train.checkpoint_minutes": 0.0,
        "widths.fixed": (0.5, 1.0),
        "widths.train": "fixed",
    }
    return lambda **more: update(config.default("lenet_3c1l"), {**changes, **more})


@pytest.fixture(scope="module")
def whole(compiled, settings, tmp_path_factory):
    """A run whose pictures are read by threads."""
    return awn_jax.train(settings(**{"data.feed": "host"}), tmp_path_factory.mktemp("whole"), progress=False)


@pytest.fixture(scope="module")
def resumed(compiled, settings, tmp_path_factory):
    """The same with worker processes, cut off at its third step, in the first epoch, and gone on with."""
    place, asked = tmp_path_factory.mktemp("resumed"), settings(**{"data.feed": "grain", "data.workers": 2})

    def cut_off(step, metrics):
        if step == 2:
            assert multiprocessing.active_children()
            raise RuntimeError("enough")

    before = set(multiprocessing.active_children())
    with pytest.raises(HookError):
        awn_jax.train(asked, place, progress=False, on_log=cut_off)
    assert not set(multiprocessing.active_children()) - before
    done = awn_jax.train(asked, place, progress=False)
    assert not set(multiprocessing.active_children()) - before
    return done


def lines(run):
    found = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_second"} for line in found]


def test_workers_that_begin_in_the_middle_of_an_epoch_end_where_threads_that_began_at_the_start_end(whole, resumed):
    assert whole.step == resumed.step == STEPS
    assert lines(whole.run) == lines(resumed.run)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(whole.model), nnx.state(resumed.model))
    assert whole.sweep == resumed.sweep


def test_validation_images_are_scored_on_the_way_and_are_no_others(whole):
    scored = {line["step"]: line for line in lines(whole.run) if "validation_top1_widest" in line}
    # Every epoch of 36 images, which is two steps and a quarter, and at the end.
    assert sorted(scored) == [2, 4, STEPS]
    held = whole.run.images("validation")
    swept = evaluation.sweep(whole.model, held, whole.run.preparation, data.data_mesh(), at=(0.25, 1.0), progress=False)
    for row, end in zip(swept.rows, ("narrowest", "widest"), strict=True):
        for name in ("top1", "loss"):
            assert scored[STEPS][f"validation_{name}_{end}"] == pytest.approx(row.metrics[name], rel=1e-5)
    assert not any("test" in key for line in scored.values() for key in line)


def test_what_is_kept_apart_is_the_same_share_of_each_class_and_not_trained_on(whole, folder):
    read = {split: build.images(whole.run.config, split) for split in ("train", "validation", "test")}
    assert {split: np.bincount(images.labels).tolist() for split, images in read.items()} == {
        "train": [12] * 3,
        "validation": [4] * 3,
        "test": [4] * 3,
    }
    paths = set(read["train"].records.paths)
    every = {str(path.relative_to(folder)) for path in folder.glob("train/*/*")}
    again = data.load(f"folder:{folder}", "train", image_size=(20,))
    kept, held = data.stratified(again.labels, 0.25, 0, "data.validation")
    assert set(again.select(kept).records.paths) == paths
    assert set(again.select(held).records.paths) == every - paths
    assert data.stratified(again.labels, 0.25, 1, "data.validation")[1].tolist() != held.tolist()


def test_a_run_keeps_what_it_found_out_about_its_images(whole):
    facts = open_run(whole.run.folder).facts
    assert (facts.image_size, facts.class_names, facts.count) == ((20, 20, 1), ("nought", "one", "two"), 36)
    images = data.in_memory(build.images(whole.run.config, "train")).images / 255
    np.testing.assert_allclose((facts.mean, facts.std), ([images.mean()], [images.std()]), rtol=1e-6)
