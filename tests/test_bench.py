"""The benchmark says what it promises."""

import json

import pytest

from awn_jax.bench import __main__ as bench


def test_last_line_holds_the_ratios(capsys, monkeypatch):
    monkeypatch.setattr("awn_jax.bench.candidates.SWEEP_BATCH", 16)
    bench.main(["--rounds=2", "--batch-size=8", "--channels=3"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result) == {"nested_vs_full", "nested_vs_sequential", "sweep_vs_full", "step_seconds"}
    assert all(value > 0 for value in result.values())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rounds=0"], "argument --rounds: must be above 0 and finite, got 0"),
        (["--config=x.py", "--torch"], "--channels and --torch are of the paper's small network"),
    ],
)
def test_mistakes_are_named(capsys, flags, message):
    with pytest.raises(SystemExit):
        bench.parse_arguments(flags)
    assert message in capsys.readouterr().err
