"""The bench of feeds measures all of them on the same pictures."""

import json

import numpy as np
import pytest

from awn_jax import data
from awn_jax.bench import feeds
from awn_jax.bench.torch_feed import Positions


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(feeds, "_FILES", 8)
    monkeypatch.setattr(feeds, "_SIZE", (40, 50))
    monkeypatch.setattr(feeds, "NETWORK", ("lenet_3c1l", {"model.channels": "2"}))


def test_last_line_holds_the_rates(few, capsys):
    feeds.main(["--rounds=1", "--batches=1", "--batch-size=8", "--image-size=20", "--workers=1"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result) == {f"{feed}, {use}" for feed in ("threads", "grain") for use in ("alone", "with a step")}
    assert all(rate > 0 for rate in result.values())


def test_the_rival_is_given_the_same_examples(few):
    with feeds._drawn() as folder:
        examples = data.load(f"folder:{folder}", "train", image_size=(32,))
        preparation = data.Preparation((0.5,) * 3, (0.25,) * 3, feeds.AUGMENT, size=(32, 32))
        stream = data.Stream(examples, preparation.transforms, 0, 8)
        host = feeds._feeds(stream, 1, False)["threads"]()
        read = host.read(1, 0)
        rival = [Positions(stream)[position] for position in stream.positions(1).tolist()]
        host.close()
    np.testing.assert_array_equal(read["image"], np.stack([example["image"] for example in rival]))
    assert read["label"].tolist() == [int(example["label"]) for example in rival]
    # Drawn pictures differ, and each has more than one shade.
    assert len({example["image"].tobytes() for example in rival}) == 8
