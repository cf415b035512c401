"""train.py and eval_sweep.py as a user runs them, on real digits."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

SMALL = [
    "--config.model.channels=6",
    "--config.train.epochs=3.0",
    "--config.train.batch_size=64",
    "--config.train.log_every=1",
    "--config.train.schedule=step",
    "--config.train.checkpoint_minutes=0.0",
]


def command(repository, script, *arguments):
    return [sys.executable, str(repository / script), *map(str, arguments)]


def environment(tmp_path):
    # Programs compiled by one test serve the next.
    cache = tmp_path.parent / "xla"
    flags = "--xla_force_host_platform_device_count=1"
    return {**os.environ, "XLA_FLAGS": flags, "JAX_COMPILATION_CACHE_DIR": str(cache), "PYTHONUNBUFFERED": "1"}


def train(repository, workdir, *more):
    arguments = command(
        repository, "train.py", "--config", repository / "configs/lenet_digits.py", "--workdir", workdir
    )
    return subprocess.run(
        [*arguments, *SMALL, *more],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=repository,
        env=environment(workdir),
    )


def metrics(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_second"} for line in lines]


@pytest.fixture(scope="module")
def whole_run(repository, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    done = train(repository, workdir)
    assert done.returncode == 0, done.stderr
    return workdir, done


def test_run_leaves_what_it_promises(whole_run):
    workdir, done = whole_run
    assert re.fullmatch(r"AUC 0\.\d{4} over \d widths in .*", done.stdout.splitlines()[-1])
    for name in ("config.json", "metrics.jsonl", "sweep.json", "sweep.csv", "sweep.png"):
        assert (workdir / name).stat().st_size > 0
    steps = [line["step"] for line in metrics(workdir)]
    assert steps == list(range(1, 1 + len(steps)))
    assert len(steps) == 67
    assert metrics(workdir)[-1]["loss"] < metrics(workdir)[0]["loss"]
    assert json.loads((workdir / "sweep.json").read_text())["auc"] > 0.5


def test_interrupted_run_ends_bit_for_bit_where_an_uninterrupted_one_ends(repository, tmp_path, whole_run):
    workdir = tmp_path / "interrupted"
    arguments = command(
        repository, "train.py", "--config", repository / "configs/lenet_digits.py", "--workdir", workdir
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        before = len(metrics(workdir)) if (workdir / "metrics.jsonl").exists() else 0
        process = subprocess.Popen(
            [*arguments, *SMALL], stdout=subprocess.PIPE, text=True, cwd=repository, env=environment(whole_run[0])
        )
        while process.poll() is None and (
            not (workdir / "metrics.jsonl").exists() or len(metrics(workdir)) < before + 12
        ):
            time.sleep(0.01)
        process.send_signal(number)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert f"{number.name}: saved step" in output
    assert len(metrics(workdir)) < 67
    done = train(repository, workdir)
    assert "going on from step" in done.stdout
    assert metrics(workdir) == metrics(whole_run[0])
    assert (workdir / "sweep.json").read_text().replace("interrupted", "whole") == (
        whole_run[0] / "sweep.json"
    ).read_text()


def test_two_processes_share_each_batch(repository, tmp_path, whole_run):
    import socket

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    workdir = tmp_path / "hosts"
    arguments = command(
        repository, "train.py", "--config", repository / "configs/lenet_digits.py", "--workdir", workdir
    )
    more = ["--multihost", f"--coordinator=localhost:{port}", "--processes=2", "--config.train.epochs=0.5"]
    processes = [
        subprocess.Popen(
            [*arguments, *SMALL, *more, f"--process={index}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=repository,
            env=environment(workdir),
        )
        for index in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "2 cpu device(s)" in outputs[0][0]
    assert "──" not in outputs[1][0]
    one, two = (np.array([line["loss"] for line in metrics(path)][:5]) for path in (whole_run[0], workdir))
    np.testing.assert_allclose(two, one, rtol=1e-4)


def test_eval_sweep_repeats_the_final_sweep_and_overlays_runs(repository, tmp_path, whole_run):
    workdir, done = whole_run
    written = json.loads((workdir / "sweep.json").read_text())
    arguments = command(repository, "eval_sweep.py", "--workdir", workdir, "--plot", tmp_path / "both.png")
    again = subprocess.run(arguments, capture_output=True, text=True, timeout=120, env=environment(workdir))
    assert again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1], again.stderr
    repeated = json.loads((workdir / "sweep.json").read_text())
    assert repeated["rows"] == written["rows"]
    two = [*arguments, workdir, "--widths", "0.5", "1"]
    several = subprocess.run(two, capture_output=True, text=True, timeout=120, env=environment(workdir))
    assert several.returncode == 0, several.stderr
    assert "2 widths in [0.50, 1.00]" in several.stdout


def test_loss_that_leaves_the_finite_numbers_stops_the_run_and_keeps_the_checkpoint(repository, tmp_path, whole_run):
    workdir = tmp_path / "hot"
    hot = train(repository, workdir, "--config.train.learning_rate=1e30")
    assert hot.returncode != 0
    assert "error: loss or weights are not finite at step" in hot.stderr
    assert "Traceback" not in hot.stderr
    assert "config.train.learning_rate" not in hot.stdout


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--config.train.epoks=3"], "error: --config.train.epoks: the config has no field 'epoks'"),
        (
            ["--config=configs/lenet.py"],
            "error: --config must be a file, got configs/lenet.py; there are configs/lenet_",
        ),
        (["--config.train.epochs=-1.0"], "train.epochs must be above 0, got -1"),
        (["--config.train.batch_size=5000"], "batch_size must be at most the 1438 training images, got 5000"),
        (["--config.data.name=npz:/nowhere.npz"], "is not a readable .npz file"),
    ],
)
def test_mistakes_are_one_clear_error(repository, tmp_path, more, message):
    failed = train(repository, tmp_path / "run", *more)
    assert failed.returncode != 0
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr, failed.stderr


def test_run_does_not_go_on_with_another_config(repository, whole_run):
    failed = train(repository, whole_run[0], "--config.train.epochs=5.0")
    assert failed.returncode != 0
    assert failed.stderr.startswith("error: ")
    assert "train.epochs (was 3.0, now 5.0). Choose another --workdir" in failed.stderr


def test_damaged_checkpoint_is_one_clear_error(repository, tmp_path, whole_run):
    import shutil

    workdir = tmp_path / "damaged"
    shutil.copytree(whole_run[0], workdir)
    for file in pathlib.Path(workdir / "checkpoints").rglob("d/*"):
        file.write_bytes(file.read_bytes()[:20])
    arguments = command(repository, "eval_sweep.py", "--workdir", workdir)
    failed = subprocess.run(arguments, capture_output=True, text=True, timeout=120, env=environment(workdir))
    assert failed.returncode != 0
    assert re.search(r"error: .*checkpoints/67 cannot be restored", failed.stderr)
    assert "Traceback" not in failed.stderr


def test_folder_without_a_run_is_one_clear_error(repository, tmp_path):
    arguments = command(repository, "eval_sweep.py", "--workdir", tmp_path)
    failed = subprocess.run(arguments, capture_output=True, text=True, timeout=120, env=environment(tmp_path))
    assert failed.returncode != 0
    assert failed.stderr.startswith("error: ")
    assert "config.json is not there" in failed.stderr
