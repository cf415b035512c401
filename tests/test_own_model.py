"""A network, an optimiser, a loss and an augmentation from outside of the package go through every command."""

import json

import pytest

import eval_sweep
import train
from awn_jax import anytime, export, profile
from awn_jax.anytime import __main__ as anytime_command
from awn_jax.export import __main__ as export_command
from awn_jax.profile import __main__ as profile_command

MODULE = """
import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from awn_jax import AnyWidthClassifier, Axis, Concatenate, Dropout, global_mean, max_pool, relu
from awn_jax.models import Options, Parts
from awn_jax.models.options import changed


@dataclasses.dataclass(frozen=True)
class SkipOptions(Options):
    channels: int = 8


class Skip(AnyWidthClassifier):
    Options = SkipOptions

    def __init__(self, image_size, classes, options=None, *, family=None, implementation=None, rngs, **named):
        options = changed(options or SkipOptions(), named)
        make = Parts(options, family=family, implementation=implementation, rngs=rngs)
        axis = make.axis(options.channels)
        self.stem, self.norm = make.conv(Axis.whole(image_size[2]), axis, 3, strides=2), make.norm(axis)
        self.conv, self.norm2 = make.conv(axis, axis, 3), make.norm(axis)
        self.join = Concatenate([axis, axis])
        self.drop = Dropout(self.join.axis, 0.1, rngs=rngs)
        self.head = make.head(self.join.axis, 1, classes)

    def features(self, x, width=1):
        x = max_pool(relu(self.norm(self.stem(x, width), width)))
        y = nnx.relu(self.norm2(self.conv(x, width), width))
        return global_mean(self.drop(self.join([x, y + x], width), width))


def lion(rate, *, momentum, weight_decay):
    return optax.lion(rate, b1=momentum, weight_decay=weight_decay)


def smooth(logits, labels):
    targets = 0.9 * jax.nn.one_hot(labels, logits.shape[-1]) + 0.1 / logits.shape[-1]
    return optax.softmax_cross_entropy(logits, jnp.broadcast_to(targets, logits.shape))


def shift(key, examples):
    return {**examples, "image": jnp.roll(examples["image"], jax.random.randint(key, (), -1, 2), 1)}
"""


def test_an_own_model_goes_through_every_command(tmp_path, monkeypatch, capsys, repository):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_net.py").write_text(MODULE)
    flags = {
        "model.name": "my_net:Skip",
        "model.grid": 4,
        "train.optimizer": "my_net:lion",
        "train.loss": "my_net:smooth",
        "data.augment": "my_net:shift",
        "train.epochs": 0.6,
        "train.learning_rate": 0.003,
    }
    command = [f"--config={repository}/configs/lenet_digits.py", "--workdir=run"]
    command += [f"--config.{name}={value}" for name, value in flags.items()]
    train.main(command)
    swept = json.loads((tmp_path / "run" / "sweep.json").read_text())
    assert [row["width"] for row in swept["rows"]] == [0.25, 0.375, 0.625, 1.0]
    # Again: nothing is left to do, and the result is the same.
    train.main(command)
    assert json.loads((tmp_path / "run" / "sweep.json").read_text()) == swept
    monkeypatch.setattr("sys.argv", ["eval_sweep.py", "--workdir=run", "--html"])
    eval_sweep.main()
    assert json.loads((tmp_path / "run" / "sweep.json").read_text()) == swept
    for main, arguments in (
        (anytime_command.main, ["--rounds=0"]),
        (profile_command.main, ["--widths", "0.25", "1", "--batch-sizes", "1", "--seconds=0.1"]),
        (export_command.main, ["--to=onnx", "--width=0.5"]),
        (export_command.main, ["--to=stablehlo", "--width=0.5"]),
        (export_command.main, ["--to=flax", "--width=0.5"]),
        (export_command.main, ["--to=bundle", "--widths", "0.25", "1"]),
    ):
        monkeypatch.setattr("sys.argv", ["command", "--workdir=run", *arguments])
        main()
        assert "NOT the same" not in capsys.readouterr().out
    written = {path.name for path in (tmp_path / "run").rglob("*")}
    assert {
        "sweep.html",
        "anytime.json",
        "profile.json",
        "w0.5.onnx",
        "w0.5.stablehlo",
        "bundle.safetensors",
    } <= written


@pytest.mark.parametrize("room", [anytime, export, profile])
def test_rooms_do_not_know_a_network_by_name(room):
    for path in room.__path__:
        for file in __import__("pathlib").Path(path).rglob("*.py"):
            assert "lenet" not in file.read_text().lower(), file
