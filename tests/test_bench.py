"""The benchmark says what it promises."""

import json
import subprocess
import sys


def test_last_line_holds_the_ratios(repository):
    command = [sys.executable, "-m", "awn_jax.bench", "--rounds=2", "--batch-size=8", "--channels=4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=repository)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert set(result) == {"nested_vs_full", "nested_vs_sequential", "sweep_vs_full", "step_seconds"}
    assert all(value > 0 for value in result.values())


def test_mistakes_are_named(repository):
    command = [sys.executable, "-m", "awn_jax.bench", "--rounds=0"]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=repository)
    assert failed.returncode == 2
    assert "--rounds must be at least 1, got 0" in failed.stderr
