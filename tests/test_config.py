"""A config is checked as a whole before anything runs."""

import dataclasses
import importlib.util

import pytest

from awn_jax import config as configs


def get(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return configs.parse(module.get_config())


def test_every_config_file_parses_and_survives_json(repository, tmp_path):
    files = sorted((repository / "configs").glob("*.py"))
    assert len(files) >= 5
    for file in files:
        config = get(file)
        configs.save(config, tmp_path / "config.json")
        assert configs.load(tmp_path / "config.json") == config


def test_papers_recipe_is_kept(repository):
    fashion, cifar = (get(repository / f"configs/lenet_{name}.py") for name in ("fmnist", "cifar100"))
    assert (fashion.train.epochs, fashion.train.weight_decay, fashion.data.augment) == (20, 0, "none")
    assert (cifar.train.epochs, cifar.train.weight_decay, cifar.data.augment) == (100, 5e-4, "crop_flip")
    for config in (fashion, cifar):
        train = config.train
        assert (train.learning_rate, train.momentum, train.batch_size) == (0.01, 0.9, 128)
        assert (train.schedule, train.decay_at, train.decay_factor) == ("step", (0.5, 0.75), 0.1)
        assert (config.widths.train, config.widths.how, config.model.channels) == ("all", "nested", 45)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trian": {}}, "config has no field 'trian'; it has data, model, widths, train"),
        ({"train": {"epoks": 3}}, "config.train has no field 'epoks'"),
        ({"train": {"epochs": "three"}}, "config.train.epochs must be of type float, got 'three'"),
        ({"train": {"epochs": -1}}, "train.epochs must be above 0 and finite, got -1"),
        ({"train": {"epochs": float("inf")}}, "train.epochs must be above 0 and finite, got inf"),
        ({"train": {"decay_factor": -0.1}}, "train.decay_factor must be above 0, got -0.1"),
        (
            {"widths": {"calibrate": 4}},
            "widths.calibrate must be 0 unless model.norm is 'calibrated', got 4 with 'shared'",
        ),
        ({"train": {"batch_size": True}}, "config.train.batch_size must be of type int, got True"),
        ({"train": {"decay_at": [0.7, 0.5]}}, "train.decay_at must be ascending"),
        ({"model": {"dropout": 1.0}}, r"model.dropout must be in \[0, 1\), got 1.0"),
        ({"model": {"core": 0.5}}, "model.core must be at most widths.minimum=0.25, got 0.5"),
        ({"widths": {"minimum": 0.0}}, r"widths.minimum must be in \(0, 1\], got 0.0"),
        ({"widths": {"fixed": [0.5, 1.2]}}, r"widths.fixed must be in \(0, 1\], got 1.2"),
        ({"widths": {"how": "both"}}, "config.widths.how must be one of 'nested', 'sequential', got 'both'"),
        ({"data": {"std": [0.0]}}, "data.std must be above 0"),
        ({"model": 3}, "config.model must hold fields, got 3"),
    ],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(configs.ConfigError, match=message):
        configs.parse(change)


def test_a_run_goes_on_only_with_its_own_config(tmp_path):
    old = configs.Config()
    new = dataclasses.replace(old, train=dataclasses.replace(old.train, epochs=3.0, log_every=7))
    with pytest.raises(configs.ConfigError, match=r"train.epochs \(was 20.0, now 3.0\). Choose another --workdir"):
        configs.check_same_run(old, new, tmp_path)
    configs.check_same_run(old, dataclasses.replace(old, train=dataclasses.replace(old.train, log_every=7)), tmp_path)


def test_folder_that_is_no_workdir_is_named(tmp_path):
    with pytest.raises(configs.ConfigError, match="the workdir of a run"):
        configs.load(tmp_path / "config.json")
