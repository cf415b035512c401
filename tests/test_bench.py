"""The benchmark says what it promises."""

import json

import pytest

from awn_jax import hardware
from awn_jax.bench import __main__ as bench
from awn_jax.bench import networks

RATIOS = {"nested_vs_full", "nested_vs_sequential", "sweep_vs_full", "compile_vs_full", "memory_vs_full"}


def test_last_line_holds_the_ratios(capsys, monkeypatch):
    monkeypatch.setattr(hardware, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
    monkeypatch.setattr(bench, "SWEEP_BATCH", 16)
    monkeypatch.setattr(networks, "SWEEP_BATCH", 4)
    monkeypatch.setattr(networks, "NETWORKS", {"tiny": ("lenet_3c1l", {"model.channels": "2"})})
    bench.main(["--rounds=2", "--batch-size=8", "--channels=3"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    found = result.pop("models")["tiny"]
    for values in (result, found):
        assert set(values) == RATIOS | {"step_seconds", "compile_seconds"}
        assert all(value > 0 for value in values.values())


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_larger_networks_have_a_config(name):
    config = networks.config(name)
    assert (config.model.options.grid, config.train.batch_size) == (32, networks.BATCH_SIZE)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rounds=0"], "argument --rounds: must be above 0 and finite, got 0"),
        (["--config=x.py", "--torch"], "--channels and --torch are of the paper's small network"),
        (["--models", "vgg"], "argument --models: invalid choice: 'vgg'"),
    ],
)
def test_mistakes_are_named(capsys, flags, message):
    with pytest.raises(SystemExit):
        bench.parse_arguments(flags)
    assert message in capsys.readouterr().err
