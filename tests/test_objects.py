"""Detection and key points from the images to the page: trained, stopped, gone on with, swept, shown."""

import json
import re

import numpy as np
import pytest

import awn_jax
from awn_jax import config, open_run, page
from awn_jax.config.methods import update
from awn_jax.evaluation.outputs import outputs_at
from awn_jax.evaluation.totals import metrics
from awn_jax.logs import HookError
from tests import annotated

SMALL = {
    "model.multiplier": 0.15,
    "model.blocks": (1, 1, 0, 0, 0, 0, 0),
    "model.stride": 4,
    "model.tower": 1,
    "model.grid": 4,
    "data.feed": "host",
    "data.fit": "pad",
    "data.image_size": (24, 32),
    "data.augment": "scale_jitter(least=0.9, most=1.1), flip, shift",
    "data.mean": (0.1,),
    "data.std": (0.3,),
    "train.epochs": 2.0,
    "train.batch_size": 8,
    "train.log_every": 1,
    "train.checkpoint_minutes": 0.0,
}
DRAWN = {"detect": "<rect", "keypoints": "<path"}


@pytest.fixture(scope="module", params=DRAWN)
def trained(request, compiled, tmp_path_factory):
    """A run that was stopped after a step and gone on with, and its sweeps."""
    folder = tmp_path_factory.mktemp("objects")
    for split, count in (("train", 8), ("test", 4)):
        annotated.write(folder / "set", split, count, seed=count)
    settings = update(config.default("fpn"), {**SMALL, "task": request.param, "data.name": f"coco:{folder / 'set'}"})

    def stop(step, metrics):
        raise RuntimeError("enough")

    with pytest.raises(HookError):
        awn_jax.train(settings, folder / "run", progress=False, on_log=stop)
    return request.param, folder / "run", awn_jax.train(settings, folder / "run", progress=False)


def test_a_run_is_swept_with_the_metrics_of_its_task(trained):
    task, folder, result = trained
    sweep = result.sweep
    assert [row.width for row in sweep.rows] == [0.25, 0.375, 0.625, 1.0]
    assert sweep.metric == {"detect": "ap50", "keypoints": "pck"}[task]
    assert all(np.isfinite(list(row.metrics.values())).all() for row in sweep.rows)
    names = json.loads((folder / "run.json").read_text())["class_names"]
    assert tuple(names) == (annotated.POINT_NAMES if task == "keypoints" else annotated.CLASS_NAMES)


def test_the_page_shows_what_the_network_says(trained, tmp_path):
    task, folder, result = trained
    run = open_run(folder)
    model, _ = run.restore()
    images, at = run.images("test"), [row.width for row in result.sweep.rows]
    outputs = outputs_at(model, images, run.preparation, at, progress=False)
    found = metrics(run.task, outputs, run.task.targets(images.gathered(run.task.entries)))
    np.testing.assert_allclose(found["loss"], [row.metrics["loss"] for row in result.sweep.rows], rtol=1e-4)
    # A network that has learnt for two steps is sure of nothing: one that is draws what it says.
    outputs[..., 0, 0, :] = 20
    page.write(tmp_path / "page.html", run.task, result.sweep.rows, images, outputs, title="objects")
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    samples = json.loads(re.search('type="application/json">(.*?)</script>', content, re.DOTALL)[1])["samples"]
    assert len(samples) == 4
    assert sum(DRAWN[task] in sample["drawn"] for sample in samples) == 3
    assert all(DRAWN[task] in answer[3] for sample in samples for answer in sample["answers"])
