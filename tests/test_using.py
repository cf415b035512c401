"""The examples of docs/using.md run, on a small trained network."""

import re
import shutil

import jax
import numpy as np

from awn_jax import data
from awn_jax.profile import Latency, Profile, ProfiledWidth, save


def test_examples_run(trained_run, repository, tmp_path, monkeypatch):
    shutil.copytree(trained_run, tmp_path / "runs" / "demo")
    monkeypatch.chdir(tmp_path)
    profiled = tmp_path / "runs" / "demo" / "profile.json"
    profiled.unlink(missing_ok=True)
    text = (repository / "docs" / "using.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 6
    # The examples are for one device; the tests have eight.
    monkeypatch.setattr(data, "data_mesh", lambda: jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",)))
    scope: dict = {}
    for block in blocks:
        if "best_width" in block:
            row = ProfiledWidth(0.5, 1, 1000, 0.9, {1: 1}, {1: Latency(1.0, 1.0, 1)})
            made = Profile("", "", scope["step"], "top1", (1,), {1: 0.0}, (row,))
            save(made, tmp_path / "runs" / "demo")
        exec(compile(block, "using.md", "exec"), scope)
    model, images = scope["model"], scope["images"]
    np.testing.assert_allclose(scope["logits"], model(images[:100], 0.25), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scope["half"].call(images[:100]), model(images[:100], 0.5), rtol=1e-4, atol=1e-4)
    assert scope["width"] == 0.5
    assert scope["in_time"].outputs.shape == scope["sure"].outputs.shape == (4, 10)
