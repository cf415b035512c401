"""A config is checked as a whole before anything runs."""

import dataclasses

import pytest

from awn_jax import config as configs
from awn_jax.config.source import changed

MODEL = {"model": {"name": "lenet_3c1l"}}


def test_every_config_file_parses_and_survives_json(repository, tmp_path):
    files = sorted((repository / "configs").glob("*.py"))
    assert len(files) >= 5
    for file in files:
        config = configs.read(str(file))
        configs.save(config, tmp_path / "config.json")
        assert configs.load(tmp_path / "config.json") == config


def test_every_method_goes_with_every_config_file(repository):
    for file in (repository / "configs").glob("*.py"):
        least = configs.read(str(file)).widths.minimum
        for method in configs.METHODS:
            config = configs.read(f"{file}:{method}")
            expected = 1 if method.startswith("single") else 0.05 if method.endswith("wide") else least
            assert config.widths.minimum == expected
            assert config.model.options.core in (0, least)
            assert config.widths.fixed[0] >= min(least, config.widths.minimum)


def test_recipes_of_a_network_may_differ_by_method(repository):
    def recipe(method):
        train = configs.read(f"{repository}/configs/mobilenet_v2_cifar10.py:{method}").train
        return train.epochs, train.learning_rate, train.schedule, train.decay_factor, train.weight_decay

    assert recipe("awn") == recipe("awn_fixed") == (700, 0.02, "step", 0.2, 1e-3)
    assert recipe("awn_random") == (350, 0.01, "step", 0.1, 1e-3)
    assert recipe("s_net") == recipe("us_net") == (100, 0.1, "linear", 0.1, 5e-4)
    with pytest.raises(configs.ConfigError, match=r"method must be one of .*, got 'avn'"):
        configs.apply(configs.default("mobilenet_v2"), "awn", {"avn": {}})


def test_papers_recipe_is_kept(repository):
    fashion, cifar = (configs.read(f"{repository}/configs/lenet_{name}.py") for name in ("fmnist", "cifar100"))
    assert (fashion.train.epochs, fashion.train.weight_decay, fashion.data.augment) == (20, 0, "none")
    assert (cifar.train.epochs, cifar.train.weight_decay, cifar.data.augment) == (100, 5e-4, "crop_flip")
    for config in (fashion, cifar):
        train = config.train
        assert (train.learning_rate, train.momentum, train.batch_size) == (0.01, 0.9, 128)
        assert (train.schedule, train.decay_at, train.decay_factor) == ("step", (0.5, 0.75), 0.1)
        assert (config.widths.train, config.widths.how) == ("all", "nested")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trian": {}}, "config has no field 'trian'; it has data, log, model, task, taxonomy, train, widths"),
        ({"train": {"epoks": 3}}, "config.train has no field 'epoks'"),
        ({"train": {"epochs": "three"}}, "config.train.epochs must be of type float, got 'three'"),
        ({"train": {"epochs": -1}}, "train.epochs must be above 0 and finite, got -1"),
        ({"train": {"epochs": float("inf")}}, "train.epochs must be above 0 and finite, got inf"),
        ({"train": {"seed": 10**19}}, "config.train.seed must be below 4294967296, got 10000000000000000000"),
        ({"data": {"image_size": [10**9]}}, "data.image_size must be height and width, or one number for both, up to"),
        ({"data": {"std": [1e-300], "mean": [0.5]}}, "data.std must be from 1e-6 to 1e6, got"),
        ({"train": {"decay_factor": -0.1}}, "train.decay_factor must be above 0, got -0.1"),
        (
            {"widths": {"calibrate": 4}},
            "widths.calibrate must be 0 unless model.family is 'us_net', got 4 with 'triangular'",
        ),
        ({"train": {"batch_size": True}}, "config.train.batch_size must be of type int, got True"),
        ({"train": {"decay_at": [0.7, 0.5]}}, "train.decay_at must be ascending"),
        ({"train": {"nesterov": True, "momentum": 0}}, "train.momentum must be above 0 for nesterov, got 0"),
        (
            {"train": {"nesterov": True, "optimizer": "lion"}},
            "train.nesterov must be false for lamb and lion, got true with 'lion'",
        ),
        ({"train": {"label_smoothing": 1.0}}, r"train.label_smoothing must be in \[0, 1\), got 1.0"),
        ({"train": {"warmup": 30.0}}, r"train.warmup must be in \[0, train.epochs\], got 30.0 epochs"),
        ({"train": {"clip": -1.0}}, "train.clip must be 0 or more and finite, got -1.0"),
        ({"train": {"ema": 1.0}}, r"train.ema must be in \[0, 1\), got 1.0"),
        ({"train": {"accumulate": 3}}, "train.accumulate must divide train.batch_size=128, got 3"),
        ({"train": {"compute": "float16"}}, "config.train.compute must be one of '', 'bfloat16', got 'float16'"),
        (
            {"train": {"ema": 0.9}, "model": {"dtype": "bfloat16"}},
            "train.ema must come with weights of 32 bits or more, got 0.9 with model.dtype=bfloat16",
        ),
        ({"log": {"tensorboard": 1}}, "config.log.tensorboard must be of type bool, got 1"),
        ({"model": {"name": "resnet", "depth": 19}}, "config.model.depth must be one of 18, 34, 50, 101, got 19"),
        ({"model": {"name": "mobilenet_v1", "blocks": [1, -1]}}, "model.blocks must be 0 or more in each stage"),
        ({"model": {"name": "mobilenet_v2", "stem_stride": 3}}, "model.stem_stride must be 0, 1 or 2, got 3"),
        ({"model": {"dropout": 1.0}}, r"model.dropout must be in \[0, 1\), got 1.0"),
        ({"model": {"core": 0.5}}, "model.core must be at most widths.minimum=0.25, got 0.5"),
        ({"widths": {"minimum": 0.0}}, r"widths.minimum must be in \(0, 1\], got 0.0"),
        ({"widths": {"fixed": [0.5, 1.2]}}, r"widths.fixed must be in \(0, 1\], got 1.2"),
        ({"widths": {"how": "both"}}, "config.widths.how must be one of 'nested', 'sequential', got 'both'"),
        ({"data": {"mean": [0.0], "std": [0.0]}}, "data.std must be from 1e-6 to 1e6"),
        ({"train": 3}, "config.train must hold fields, got 3"),
        ({"model": {"name": "lenet"}}, "model.name must be one of .*lenet_3c1l.* or module:Name, got 'lenet'"),
        (
            {"model": {"name": "json:loads"}},
            "model.name must be a subclass of awn_jax.AnyWidthNetwork, got 'json:loads'",
        ),
        ({"model": {}}, "model.name must name a network"),
        ({"model": {"family": "us_net"}}, "widths.how must be 'sequential' unless model.family is one of"),
        (
            {"model": {"family": "s_net"}, "widths": {"how": "sequential"}},
            "widths.train must be 'fixed' and widths.fixed hold 1 where model.family is 's_net'",
        ),
    ],
)
def test_mistakes_are_named(change, message):
    model = {**MODEL["model"], **change["model"]} if change.get("model") else change.get("model", MODEL["model"])
    with pytest.raises(configs.ConfigError, match=message):
        configs.parse({**change, "model": model})


def test_a_run_goes_on_only_with_its_own_config(tmp_path):
    old = configs.parse(MODEL)

    def other(**changes):
        return dataclasses.replace(old, train=dataclasses.replace(old.train, **changes))

    with pytest.raises(configs.ConfigError, match=r"train.epochs \(was 20.0, now 3.0\). Choose another --workdir"):
        configs.check_same_run(old, other(epochs=3.0, log_every=7), tmp_path)
    # The machine's choice of kernel, and when to write, are no part of a run.
    configs.check_same_run(old, other(log_every=7, implementation="reference"), tmp_path)
    watched = dataclasses.replace(old, log=configs.LogConfig(tensorboard=True))
    configs.check_same_run(old, watched, tmp_path)
    with pytest.raises(configs.ConfigError, match=r"model.channels \(was 0, now 7\)"):
        configs.check_same_run(old, configs.parse({"model": {"name": "lenet_3c1l", "channels": 7}}), tmp_path)


def test_command_lines_change_fields():
    others, changes = configs.take_changes(
        ["--a=1", "--config.widths.fixed=0.5,1.0", "b", "--config.train.epochs", "3", "--config.data.name=npz:1.npz"]
    )
    assert others == ["--a=1", "b"]
    values = changed(configs.default("lenet_3c1l"), changes)
    assert (values["widths"]["fixed"], values["train"]["epochs"], values["data"]["name"]) == (
        (0.5, 1.0),
        3,
        "npz:1.npz",
    )
    assert changed(configs.default("lenet_3c1l"), {"data.mean": "0.3"})["data"]["mean"] == (0.3,)
    for argument in (["--config.train.epochs"], ["--config.train.epochs", "--x"]):
        with pytest.raises(configs.ConfigError, match=r"--config.train.epochs must have a value"):
            configs.take_changes(argument)
    for field in ("train.epoks", "train", "train.epochs.x", "nothing.at.all"):
        with pytest.raises(configs.ConfigError, match=f"--config.{field}: the config has no field"):
            changed(configs.default("lenet_3c1l"), {field: "3"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 3", r"must define get_config\(\)"),
        ("def get_config(): pass", "must give what awn_jax.config.default gives, got None"),
        ("def get_config(:", "cannot be run: SyntaxError"),
    ],
)
def test_a_file_that_is_no_config_says_what_it_must_hold(tmp_path, text, message):
    path = tmp_path / "a:b.py"
    path.write_text(text)
    with pytest.raises(configs.ConfigError, match=message):
        configs.read(str(path))


def test_folder_that_is_no_workdir_is_named(tmp_path):
    with pytest.raises(configs.ConfigError, match="the workdir of a run"):
        configs.load(tmp_path / "config.json")
