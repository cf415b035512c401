"""A task for every pixel goes through every command, on a few real digits: training, sweep, page, anytime, export, a rival."""

import json
import re

import jax
import numpy as np
import pytest

import awn_jax
import eval_sweep
from awn_jax import config as configs
from awn_jax.anytime import __main__ as anytime_command
from awn_jax.errors import UserError
from awn_jax.export import __main__ as export_command
from tests import annotated

FEW = {
    "model.multiplier": 0.2,
    "model.grid": 4,
    "model.levels": 2,
    "model.stride": 1,
    "data.image_size": (32, 48),
    "data.augment": "scale_jitter(least=0.9, most=1.2), flip",
    "train.epochs": 40.0,
    "train.warmup": 0.0,
    "train.learning_rate": 0.01,
    "train.log_every": 10,
    "train.validate_every": 20.0,
}


@pytest.fixture(scope="module", autouse=True)
def optimizers():
    """Optax's AdamW widens types without being asked to."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def digit_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "digits"
    for seed, split in enumerate(("train", "val", "test")):
        annotated.write(folder, split, 16 if split == "train" else 8, seed=seed)
    return folder


def config(repository, digit_set, method="awn", **changes):
    settings = configs.read(f"{repository}/configs/unet_nuclei.py:{method}", {})
    values = {**configs.to_dict(settings)}
    for name, value in {**FEW, "data.name": f"coco:{digit_set}", **changes}.items():
        section, field = name.split(".")
        values[section][field] = value
    return configs.parse(values)


@pytest.fixture(scope="module")
def trained(repository, digit_set, tmp_path_factory, compiled):
    return awn_jax.train(config(repository, digit_set), tmp_path_factory.mktemp("runs") / "unet", progress=False)


def test_every_width_learns_where_digits_are(trained):
    assert [row.width for row in trained.sweep.rows] == [0.25, 0.375, 0.625, 1.0]
    for row in trained.sweep.rows:
        # All black would be right for nine pixels of ten, and have no foreground.
        assert row.metrics["foreground_iou"] > 0.5
        assert row.metrics["pixels"] > 0.9
        assert 0 < row.metrics["object_ap50"] <= 1
    lines = [json.loads(line) for line in (trained.run.folder / "metrics.jsonl").read_text().splitlines()]
    assert {"validation_iou_narrowest", "validation_object_ap50_widest"} <= lines[-1].keys()
    assert trained.run.facts.class_names == annotated.CLASS_NAMES


def test_every_command_takes_its_run(trained, monkeypatch, capsys):
    folder = trained.run.folder
    for main, arguments in (
        (eval_sweep.main, ["--html"]),
        (anytime_command.main, ["--rounds=0"]),
        (export_command.main, ["--to=onnx", "--width=0.5"]),
    ):
        monkeypatch.setattr("sys.argv", ["command", f"--workdir={folder}", *arguments])
        main()
        shown = capsys.readouterr().out
        assert "NOT the same" not in shown
        # Exports compare the metric of the whole set with the trained network's.
        assert main is not export_command.main or "mean IoU %" in shown
    page = (folder / "sweep.html").read_text()
    content = json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    for sample in content["samples"]:
        drawn = [sample["drawn"], *(answer[3] for answer in sample["answers"])]
        assert all(one.startswith("<image ") for one in drawn)
    swept = json.loads((folder / "sweep.json").read_text())
    assert swept["rows"][-1]["iou"] == pytest.approx(trained.sweep.rows[-1].metrics["iou"])


def test_a_rival_trains_on_the_same_task_and_is_calibrated(repository, digit_set, tmp_path, compiled):
    few = {"widths.passes": 2, "widths.calibrate": 2, "widths.minimum": 0.5, "train.epochs": 1.0}
    found = awn_jax.train(config(repository, digit_set, "us_net", **few), tmp_path / "us_net", progress=False)
    assert np.isfinite([row.metrics["iou"] for row in found.sweep.rows]).all()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data.name", "digits", "data.name must be a set whose examples have instances, .* got 'digits'"),
        ("data.image_size", (31, 48), "must be multiples of the coarsest stride 2 for UNet, got 31 × 48"),
        ("data.augment", "transpose", "config.data: transpose takes square images, got 32 × 48"),
        ("data.augment", "mixup", "config.data: augment: mixup does not move objects along"),
        ("data.augment", "rand_augment", "config.data: augment: rand_augment does not move objects along"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(repository, digit_set, tmp_path, name, value, message):
    with pytest.raises(UserError, match=message):
        awn_jax.train(config(repository, digit_set, **{name: value}), tmp_path / "run", progress=False)
