"""The page with the width slider, in a real browser."""

import base64
import json
import os
import re
import shutil
import subprocess

import jax.numpy as jnp
import numpy as np
import pytest

from awn_jax import data, page
from awn_jax.evaluation import Row
from awn_jax.tasks import Classification, KeyPoints
from awn_jax.tasks.keypoints.heatmaps import heat

WIDTHS = (0.25, 0.5, 1.0)
NAMES = ("</script>", "cat & dog", "ça")
TASK = Classification()
QUIET = ["disable-background-networking", "disable-component-update", "disable-quic", "disable-sync", "no-first-run"]


@pytest.fixture(scope="module")
def example():
    """Three widths and five images: the first and the fourth change their answer."""
    predicted = np.array([[1, 1, 2, 0, 2], [0, 1, 2, 0, 2], [0, 1, 2, 1, 2]])
    labels = np.array([0, 1, 2, 1, 1], np.int32)
    logits = 3.0 * np.eye(3, dtype=np.float32)[predicted] * np.array([1, 2, 3], np.float32)[:, None, None]
    images = data.ImageSet(np.random.default_rng(0).integers(0, 256, (5, 9, 8, 1), np.uint8), labels, 3, NAMES)
    accuracy = [0.4, 0.6, 0.8]
    rows = [
        Row(width, 100 * n, 2_000_000 * n, {"top1": accuracy[n - 1], "loss": 1.0 / n})
        for n, width in enumerate(WIDTHS, 1)
    ]
    return rows, images, logits


@pytest.fixture(scope="module")
def written(example, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "sweep.html"
    page.write(path, TASK, *example, title="<b>nets</b>", latency_ms={0.25: 0.125, 0.5: 0.25}, samples=4)
    return path


def browse(address, tmp_path):
    """The page's document after its scripts have run."""
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    browser = next(filter(None, found), None)
    if browser is None:
        # Where the checks of a change run, nothing is passed over.
        assert not os.environ.get("CI"), "no Chromium here: .ci/run installs it"
        pytest.skip("no Chromium here: apt-get install chromium")
    flags = [f"--{flag}" for flag in ("headless", "no-sandbox", "disable-gpu", *QUIET)]
    command = [browser, *flags, f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(document, name):
    return re.search(rf'id="{name}"[^>]*>([^<]*)<', document).group(1)


def cards(document):
    """(what it is, whether it is marked right, answer, confidence in percent) of each example, as HTML has them."""
    pattern = (
        r'class="sample (right|wrong)".*?class="label">is (.*?)<.*?class="prediction">[✓✗] (.*?)<.*?'
        r'class="confidence">([\d.]+) %'
    )
    found = re.findall(pattern, document)
    return [(truth, mark == "right", answer, round(float(share))) for mark, truth, answer, share in found]


def expected_cards(example, rung):
    _, images, logits = example
    escaped = ["&lt;/script&gt;", "cat &amp; dog", "ça"]
    shares = np.exp(logits[rung]) / np.exp(logits[rung]).sum(-1, keepdims=True)
    top = shares.argmax(-1)
    # Those that change first, then the others in order.
    return [
        (
            escaped[images.labels[i]],
            bool(top[i] == images.labels[i]),
            escaped[top[i]],
            round(100 * float(shares[i].max())),
        )
        for i in (0, 3, 1, 2)
    ]


def test_address_opens_the_page_at_a_width(written, example, tmp_path):
    document = browse(f"file://{written}#width={WIDTHS[1] + 0.01}", tmp_path)
    assert shown(document, "width") == "0.500"
    assert shown(document, "metric-top1") == "60.00"
    assert shown(document, "metric-loss") == "0.5000"
    assert ">top-1 %<" in document
    assert shown(document, "macs") == "4.00 M"
    assert shown(document, "latency") == "0.250 ms"
    found = cards(document)
    assert found == expected_cards(example, 1)
    # Of the four that are shown, three are right.
    assert (shown(document, "metric"), shown(document, "shown")) == ("top-1 % of those below", "75.00")


def test_slider_changes_answers_and_confidence(written, example, tmp_path):
    moved = tmp_path / "moved.html"
    script = '<script>slider.value = 2; slider.dispatchEvent(new Event("input"));</script></body>'
    moved.write_text(written.read_text().replace("</body>", script))
    document = browse(f"file://{moved}#width=0.25", tmp_path)
    assert shown(document, "width") == "1.000"
    assert shown(document, "latency") == "not measured"
    assert cards(document) == expected_cards(example, 2)
    assert expected_cards(example, 2) != expected_cards(example, 0)


def content(path):
    return json.loads(re.search(r'type="application/json">(.*?)</script>', path.read_text(), re.DOTALL).group(1))


def test_page_needs_nothing_else_and_takes_names_as_text(written):
    text = written.read_text()
    assert not re.search(r'(src|href)\s*=\s*"(?!data:)|@import|url\(|fetch\(|https?://(?!www\.w3\.org)', text)
    assert "<title>&lt;b&gt;nets&lt;/b&gt;</title>" in text
    for sample in content(written)["samples"]:
        picture = base64.b64decode(sample["image"].removeprefix("data:image/png;base64,"))
        assert picture.startswith(b"\x89PNG")
    assert {sample["truth"] for sample in content(written)["samples"]} == set(NAMES)


def test_classes_without_names_are_numbers(example, tmp_path):
    rows, images, logits = example
    page.write(tmp_path / "x", TASK, rows, data.ImageSet(images.images, images.labels, 3), logits, title="")
    samples = content(tmp_path / "x")["samples"]
    assert [answer for answer, *_ in samples[0]["answers"]] == ["1", "0", "0"]
    assert samples[0]["truth"] == "0"


def test_examples_begin_with_what_changes(example):
    answers = TASK.answers(example[2], NAMES)
    assert page.choose(answers, 4).tolist() == [0, 3, 1, 2]
    assert sorted(page.choose(answers, 99).tolist()) == [0, 1, 2, 3, 4]


def test_outputs_of_other_widths_are_refused(example, tmp_path):
    rows, images, logits = example
    with pytest.raises(ValueError, match="outputs must be of 1 widths and 5 images"):
        page.write(tmp_path / "x", TASK, rows[:1], images, logits, title="")


def test_what_a_task_draws_lies_over_the_image_and_changes_with_the_width(tmp_path):
    """Two key points of one image, which is drawn with the truth and with what each width says."""
    places = jnp.array([[[[0.25, 0.5], [0.75, 0.5]]], [[[0.5, 0.25], [0.75, 0.5]]]])
    outputs = np.asarray(jnp.log(heat(places, 6, 8)))
    more = {
        "points": np.array([[[[8, 12, 2], [24, 12, 2]]]], np.float32),
        "boxes": np.array([[[8, 8, 24, 16]]], np.float32),
        "categories": np.zeros((1, 1), np.int32),
        "frame": np.array([[0, 0, 32, 24]], np.float32),
    }
    images = data.ImageSet(
        np.zeros((1, 24, 32, 1), np.uint8), np.zeros(1, np.int32), 1, point_names=("a", "b"), more=more
    )
    rows = [Row(width, 1, 1, {"pck": 1.0, "error": 0.0, "loss": 0.0}) for width in (0.5, 1.0)]
    path = tmp_path / "points.html"
    page.write(path, KeyPoints(), rows, images, outputs, title="points")
    document = browse(path.resolve().as_uri(), tmp_path)
    drawn = re.search('<svg viewBox="0 0 1 1"[^>]*class="found">(.*?)</svg>', document)[1]
    assert [*re.findall(r"M([\d.]+) ([\d.]+)h0", drawn)] == [("0.5000", "0.2500"), ("0.7500", "0.5000")]
    truth = re.search('<svg viewBox="0 0 1 1"[^>]*class="truth">(.*?)</svg>', document)[1]
    assert "M0.2500 0.5000h0" in truth
