"""The page with the width slider, in a real browser."""

import html
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pytest

from awn_jax import data
from awn_jax.evaluation import Row, Sweep
from awn_jax.evaluation import page as pages
from awn_jax.evaluation.page import choose
from awn_jax.tasks import Classification

WIDTHS = (0.25, 0.5, 1.0)
NAMES = ("cat", "dog", "</script>")
QUIET = ["disable-background-networking", "disable-component-update", "disable-quic", "disable-sync", "no-first-run"]


@pytest.fixture(scope="module")
def answers():
    """Three widths and five images: the first and the fourth change their answer."""
    predicted = np.array([[1, 1, 2, 0, 2], [0, 1, 2, 0, 2], [0, 1, 2, 1, 2]])
    labels = np.array([0, 1, 2, 1, 1], np.int32)
    logits = 3.0 * np.eye(3, dtype=np.float32)[predicted] * np.array([1, 2, 3], np.float32)[:, None, None]
    return labels, logits


@pytest.fixture(scope="module")
def page(answers, tmp_path_factory):
    labels, logits = answers
    images = data.ImageSet(np.random.default_rng(0).integers(0, 256, (5, 9, 8, 1), np.uint8), labels, 3, NAMES)
    rows = [Row(w, 100 * n, 2_000_000 * n, {"top1": [0.4, 0.6, 0.8][n - 1]}) for n, w in enumerate(WIDTHS, 1)]
    path = tmp_path_factory.mktemp("page") / "sweep.html"
    edges = tuple((a.width + b.width) / 2 for a, b in itertools.pairwise(rows))
    sweep = Sweep(tuple(rows), edges, 0.25, "top1", 0.6, 0.6)
    pages.write(
        path,
        sweep,
        images,
        logits,
        Classification(),
        title="<b>nets</b>",
        latency_ms={0.25: 0.125, 0.5: 0.25},
        samples=4,
    )
    return path


def browse(address, tmp_path):
    """The page's document after its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        # A check that is passed over is no check.
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no chromium here: apt-get install chromium")
    flags = [f"--{flag}" for flag in ("headless", "no-sandbox", "disable-gpu", *QUIET)]
    command = [browser, *flags, f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(document, name):
    return re.search(rf'id="{name}"[^>]*>([^<]*)<', document).group(1)


def cards(document):
    """(whether it is marked right, prediction, confidence in percent) of each sample."""
    found = re.findall(
        r'class="sample (right|wrong)".*?class="prediction">[✓✗] ([^<]+)<.*?class="confidence">([\d.]+) %', document
    )
    return [(mark == "right", prediction, round(float(confidence))) for mark, prediction, confidence in found]


def expected_cards(answers, rung):
    labels, logits = answers
    shares = np.exp(logits[rung]) / np.exp(logits[rung]).sum(-1, keepdims=True)
    order = choose(logits.argmax(-1), 4)
    top = shares.argmax(-1)
    return [(bool(top[i] == labels[i]), html.escape(NAMES[top[i]]), round(100 * float(shares[i].max()))) for i in order]


@pytest.mark.parametrize("rung", [0, 1])
def test_address_opens_the_page_at_a_width(page, answers, tmp_path, rung):
    document = browse(f"file://{page}#width={WIDTHS[rung] + 0.01}", tmp_path)
    assert shown(document, "width") == f"{WIDTHS[rung]:.3f}"
    assert shown(document, "value") == ["40.00", "60.00"][rung]
    assert shown(document, "metric") == "top-1 %"
    assert shown(document, "macs") == ["2.00 M", "4.00 M"][rung]
    assert shown(document, "latency") == ["0.125 ms", "0.250 ms"][rung]
    found = cards(document)
    assert found == expected_cards(answers, rung)
    assert shown(document, "right") == f"{sum(mark for mark, *_ in found)} / 4"


def test_slider_changes_predictions_and_confidence(page, answers, tmp_path):
    moved = tmp_path / "moved.html"
    script = '<script>slider.value = 2; slider.dispatchEvent(new Event("input"));</script></body>'
    moved.write_text(page.read_text().replace("</body>", script))
    document = browse(f"file://{moved}#width=0.25", tmp_path)
    assert shown(document, "width") == "1.000"
    assert shown(document, "latency") == "not measured"
    assert cards(document) == expected_cards(answers, 2)
    assert expected_cards(answers, 2) != expected_cards(answers, 0)


def test_page_needs_nothing_else_and_takes_a_title_as_text(page):
    text = page.read_text()
    assert not re.search(r'(src|href)\s*=\s*"(?!data:)|@import|url\(|fetch\(|https?://(?!www\.w3\.org)', text)
    assert "<title>&lt;b&gt;nets&lt;/b&gt;</title>" in text
    content = json.loads(re.search(r'type="application/json">(.*?)</script>', text, re.DOTALL).group(1))
    assert all(sample["image"].startswith("data:image/png;base64,") for sample in content["samples"])


def test_samples_begin_with_what_changes(answers):
    labels, logits = answers
    assert choose(logits.argmax(-1), 4).tolist() == [0, 3, 1, 2]
    assert sorted(choose(logits.argmax(-1), 99).tolist()) == [0, 1, 2, 3, 4]


def test_logits_of_other_widths_are_refused(page, answers, tmp_path):
    labels, logits = answers
    images = data.ImageSet(np.zeros((5, 9, 8, 1), np.uint8), labels, 3)
    sweep = Sweep((Row(1.0, 1, 1, {"top1": 1.0}),), (), 1.0, "top1", 1.0, 1.0)
    with pytest.raises(ValueError, match="outputs must be of 1 widths and 5 images"):
        pages.write(tmp_path / "x", sweep, images, logits, Classification(), title="")


def test_sweep_command_writes_the_page_with_measured_latency(trained_run, repository, tmp_path):
    command = [
        sys.executable,
        "eval_sweep.py",
        f"--workdir={trained_run}",
        "--html",
        "--widths",
        "0.25",
        "1",
        f"--out={tmp_path}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository, timeout=200)
    assert done.returncode == 0, done.stderr
    document = browse(f"file://{tmp_path / 'sweep.html'}#width=0.25", tmp_path)
    assert shown(document, "width") == "0.250"
    assert float(shown(document, "latency").removesuffix(" ms")) > 0
    assert len(cards(document)) == 18


def test_the_page_is_part_of_the_package(repository):
    settings = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert "page.html" in settings["awn_jax.evaluation"]
