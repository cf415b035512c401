"""awn_jax.train from Python: what it leaves, what it tells, and that it goes on where it was stopped."""

import importlib.util
import json
import threading

import jax
import numpy as np
import pytest
from flax import nnx

import awn_jax
from awn_jax import board, config, open_run
from awn_jax.config.methods import update
from awn_jax.evaluation import report
from awn_jax.export import __main__ as export
from awn_jax.export import bundle
from awn_jax.logs import HookError
from awn_jax.run import RunError

CHANGES = {
    "model.channels": 4,
    "data.mean": (0.3049,),
    "data.std": (0.3245,),
    "train.epochs": 0.36,
    "train.batch_size": 64,
    "train.label_smoothing": 0.1,
    "train.warmup": 0.1,
    "train.clip": 1.0,
    "train.ema": 0.6,
    "train.accumulate": 2,
    "train.compute": "bfloat16",
    "train.log_every": 1,
    "train.checkpoint_minutes": 0.0,
    "log.tensorboard": True,
}
STEPS = 8


def settings(**changes):
    return update(config.default("lenet_3c1l"), {**CHANGES, **changes})


@pytest.fixture(scope="module")
def whole(compiled, tmp_path_factory):
    """An uninterrupted run of a recipe of everything, and what its hook was told."""
    told = {}
    return awn_jax.train(
        settings(), tmp_path_factory.mktemp("runs") / "net", progress=False, on_log=told.__setitem__
    ), told


@pytest.fixture(scope="module")
def resumed(compiled, tmp_path_factory):
    """The same, stopped by its hook, and gone on with in a thread; and what that raised."""
    folder, outcome = tmp_path_factory.mktemp("again") / "net", []

    def enough(step, metrics):
        if step == 5:
            raise RuntimeError("that is\nenough")

    with pytest.raises(HookError) as caught:
        awn_jax.train(settings(), folder, progress=False, on_log=enough)
    begun = events(folder / "tensorboard" / "train")
    thread = threading.Thread(target=lambda: outcome.append(awn_jax.train(settings(), folder, progress=False)))
    thread.start()
    thread.join()
    return outcome[0], str(caught.value), begun


def lines(folder):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_second"} for line in found]


def events(folder):
    """(step, tag, value) of all events of a folder; an image has the size of its file as its value."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("*tfevents*")):
        for _, content in board.records(path.read_bytes()):
            event = Event.FromString(content)
            for value in event.summary.value:
                image = len(value.image.encoded_image_string)
                found.append((event.step, value.tag, image or value.simple_value))
    return found


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, nnx.state(one), nnx.state(other))


def test_a_run_that_was_stopped_ends_bit_for_bit_where_an_uninterrupted_one_ends(whole, resumed):
    (one, told), (other, _, _) = whole, resumed
    assert (one.step, other.step, one.stopped, other.stopped) == (STEPS, STEPS, "", "")
    assert lines(one.run.folder) == lines(other.run.folder)
    assert [line["step"] for line in lines(one.run.folder)] == list(told) == list(range(1, STEPS + 1))
    same(one.model, other.model)
    same(one.ema, other.ema)
    assert one.sweeps == other.sweeps


def test_a_hook_that_fails_is_named(resumed):
    assert "on_log=resumed.<locals>.enough failed at step 5: RuntimeError: that is enough" in resumed[1]


def test_both_networks_are_swept_stored_and_opened(whole):
    done, folder = whole[0], whole[0].run.folder
    assert set(done.sweeps) == {"raw", "ema"}
    assert done.sweeps["raw"] != done.sweeps["ema"]
    for weights, name in (("raw", "sweep"), ("ema", "sweep_ema")):
        content = json.loads((folder / f"{name}.json").read_text())
        assert report.from_json(content) == done.sweeps[weights]
        assert (content["weights"], content["step"]) == (weights, STEPS)
        assert len((folder / f"{name}.csv").read_text().splitlines()) == 1 + len(content["rows"])
    run = open_run(folder)
    for ema, model in ((False, done.model), (True, done.ema)):
        found, step = run.restore(ema=ema)
        same(found, model)
        assert step == STEPS


def test_statistics_of_the_average_are_those_of_its_weights(whole, digits):
    done = whole[0]
    x = done.run.preparation.normalised(jax.numpy.asarray(digits.images))
    read = np.asarray(nnx.jit(lambda model: model.conv1(x, 1))(done.ema), np.float64)
    np.testing.assert_allclose(done.ema.norm1.mean[...], read.mean((0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(done.ema.norm1.var[...], read.var((0, 1, 2)), rtol=1e-3)


def test_a_run_without_an_average_has_none_to_open(training):
    with pytest.raises(RunError, match=r"keeps no moving average of its weights: its train\.ema is 0"):
        open_run(training[0]).restore(ema=True)


def test_the_average_is_exported(whole, tmp_path):
    done = whole[0]
    path = tmp_path / "net.safetensors"
    flags = [f"--workdir={done.run.folder}", "--to=bundle", "--ema", f"--out={path}", "--widths", "0.5", "1"]
    export.run(export.parse_arguments(flags))
    images = done.run.preparation.normalised(jax.numpy.asarray(done.run.images("test").images[:8]))
    answers = jax.jit(bundle.load(path, 0.5).run)(images)
    np.testing.assert_allclose(answers, done.ema(images, 0.5), rtol=1e-3, atol=1e-4)
    assert np.abs(answers - done.model(images, 0.5)).max() > 0.01


def test_tensorboard_has_every_step_once(whole, resumed):
    (one, _), (other, _, begun) = whole, resumed
    assert max(step for step, _, _ in begun) == 5
    wanted, found = (events(run.run.folder / "tensorboard" / "train") for run in (one, other))
    timeless = [sorted(event for event in found if event[1] != "images_per_second") for found in (wanted, found)]
    assert timeless[0] == timeless[1]
    assert len({event[:2] for event in found}) == len(found)
    # A loss for each width, and those of the lines.
    assert {tag for _, tag, _ in found} >= {"loss/0.2500", "loss/1.0000", "loss", "learning_rate"}
    widest = {step: value for step, tag, value in wanted if tag == "loss/1.0000"}
    assert widest == {line["step"]: pytest.approx(line["loss_widest"]) for line in lines(one.run.folder)}


def test_tensorboard_has_the_curves(whole):
    done = whole[0]
    for weights, name in (("raw", "test"), ("ema", "test_ema")):
        found = {tag: value for step, tag, value in events(done.run.folder / "tensorboard" / name) if step == STEPS}
        assert found["top1/0.2500"] == pytest.approx(done.sweeps[weights].value(0.25))
        assert found["auc"] == pytest.approx(done.sweeps[weights].auc)
        assert found["curve"] > 5000


def test_a_cut_off_event_is_dropped(tmp_path):
    first = board.Board(tmp_path, 0)
    for step in (1, 2, 3):
        first.numbers(step, {"loss": step / 2})
    first.close()
    (path,) = tmp_path.glob("*tfevents*")
    path.write_bytes(path.read_bytes()[:-3])
    board.Board(tmp_path, 2).close()
    assert events(tmp_path) == [(1, "loss", 0.5), (2, "loss", 1.0)]


def test_a_missing_tensorboard_is_said_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(board.BoardError, match=r"log\.tensorboard=true needs tensorboardX.*awn-jax\[tensorboard\]"):
        awn_jax.train(settings(**{"data.name": "npz:/nowhere.npz"}), tmp_path / "net", progress=False)
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("form", ["dict", "file"])
def test_configs_in_any_form(repository, form):
    given = {"model": {"name": "lenet_3c1l"}} if form == "dict" else repository / "configs" / "lenet_digits.py"
    assert isinstance(config.settle(given), config.Config)
    settled = config.settle(given)
    assert config.settle(settled) is settled
