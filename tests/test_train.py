"""train.py and eval_sweep.py as a user runs them, on real digits."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

import eval_sweep
from awn_jax import files


def metrics(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_second"} for line in lines]


def test_run_leaves_what_it_promises(training):
    workdir, done = training
    assert re.fullmatch(r"AUC 0\.\d{4} over \d widths in .*", done.stdout.splitlines()[-1])
    for name in ("config.json", "metrics.jsonl", "sweep.json", "sweep.csv", "sweep.png"):
        assert (workdir / name).stat().st_size > 0
    steps = [line["step"] for line in metrics(workdir)]
    assert steps == list(range(1, 1 + round(4 * 1438 / 64)))
    assert metrics(workdir)[-1]["loss"] < metrics(workdir)[0]["loss"] / 2
    assert json.loads((workdir / "sweep.json").read_text())["auc"] > 0.5


def test_interrupted_run_ends_bit_for_bit_where_an_uninterrupted_one_ends(
    repository, tmp_path, one_device, train_command, run, training
):
    whole, workdir = training[0], tmp_path / "trained"
    log = workdir / "metrics.jsonl"
    for number in (signal.SIGTERM, signal.SIGINT):
        before = len(metrics(workdir)) if log.exists() else 0
        # A checkpoint at every step, which slows it down enough to be caught on the way.
        command = train_command(workdir, "--config.train.checkpoint_minutes=0.0")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=repository, env=one_device)
        while process.poll() is None and (not log.exists() or len(metrics(workdir)) < before + 12):
            time.sleep(0.01)
        process.send_signal(number)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert f"{number.name}: saved step" in output
        # What an earlier eval_sweep.py left does not pass for the end of the run.
        assert not (workdir / "sweep.json").exists()
        (workdir / "sweep.json").write_text("of an unfinished network")
    assert len(metrics(workdir)) < len(metrics(whole))
    assert "going on from step" in run(train_command(workdir)).stdout
    assert metrics(workdir) == metrics(whole)
    assert (workdir / "sweep.json").read_text() == (whole / "sweep.json").read_text()
    # The log holds every step's loss to the last bit; the weights say it of what the losses do not see.
    one, other = (np.load(path) for path in (weights(whole, tmp_path / "a.npz"), weights(workdir, tmp_path / "b.npz")))
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def weights(workdir, path):
    """Writes a run's final weights, read in a process with the devices that it was trained on."""
    program = f"""
import pathlib, jax, numpy as np
from flax import nnx
from awn_jax import config as configs, data, experiment
workdir = pathlib.Path({str(workdir)!r})
config = configs.load(workdir / "config.json")
model, _ = experiment.restore(config, workdir, experiment.load_data(config, "test"), data.data_mesh())
leaves = jax.tree_util.tree_leaves_with_path(nnx.state(model))
np.savez({str(path)!r}, **{{jax.tree_util.keystr(name): np.asarray(leaf) for name, leaf in leaves}})
"""
    environment = {**os.environ, "XLA_FLAGS": ""}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, env=environment)
    return path


def test_two_processes_share_each_batch_and_stop_together(repository, tmp_path, one_device, train_command, training):
    workdir = tmp_path / "hosts"

    def begin(*more):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        flags = [
            "--multihost",
            f"--coordinator=localhost:{port}",
            "--processes=2",
            *more,
        ]
        commands = [train_command(workdir, *flags, f"--process={index}") for index in range(2)]
        options = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "cwd": repository,
            "env": one_device,
        }
        return [subprocess.Popen(command, **options) for command in commands]

    def end(processes):
        outputs = [process.communicate(timeout=300) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
        assert "──" not in outputs[1][0]
        return outputs[0][0]

    # Each looks at a clock of its own, about every second step.
    processes, log = begin("--config.train.checkpoint_minutes=4e-4"), workdir / "metrics.jsonl"
    while processes[0].poll() is None and (not log.exists() or len(metrics(workdir)) < 5):
        time.sleep(0.01)
    processes[1].terminate()
    output = end(processes)
    assert "2 cpu device(s)" in output
    assert "another process was stopped: saved step" in output
    assert "going on from step" in end(begin())
    one, two = (np.array([line["loss"] for line in metrics(path)][:5]) for path in (training[0], workdir))
    np.testing.assert_allclose(two, one, rtol=1e-4)
    assert len(metrics(workdir)) == len(metrics(training[0]))


def copy_of(workdir, tmp_path):
    return pathlib.Path(shutil.copytree(workdir, tmp_path / workdir.name))


def eval_command(repository, *arguments):
    return [sys.executable, str(repository / "eval_sweep.py"), *map(str, arguments)]


def test_eval_sweep_repeats_the_final_sweep_of_each_run_once(repository, tmp_path, run, training):
    workdir = copy_of(training[0], tmp_path)
    again = run(eval_command(repository, "--workdir", workdir, workdir))
    assert again.stdout.splitlines().count(training[1].stdout.splitlines()[-1]) == 1, again.stderr
    rows = [json.loads((path / "sweep.json").read_text())["rows"] for path in (workdir, training[0])]
    assert rows[0] == rows[1]


def test_eval_sweep_of_chosen_widths_and_split(repository, tmp_path, run, training):
    workdir, other = copy_of(training[0], tmp_path / "one"), copy_of(training[0], tmp_path / "two")
    flags = ["--widths", "0.5", "1", "--split", "train", "--plot", tmp_path / "both.png"]
    done = run(eval_command(repository, f"--workdir={workdir}", other, *flags))
    assert done.returncode == 0, done.stderr
    assert "1,438 images of digits train" in done.stdout
    assert "2 widths in [0.50, 1.00]" in done.stdout.splitlines()[-1]
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    refused = run(eval_command(repository, f"--workdir={workdir}", "--calibrated", "0.5", "1"))
    assert_one_error(refused, "--calibrated is for a US-Net")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--widths", "1.5"], "argument --widths: width must be in (0, 1], got 1.5"),
        (["--widths", "0.5", "--alpha-min", "0.3"], "--alpha-min says where all widths begin"),
        (["--calibrated", "0.5"], "--calibrated must hold 1, full width, got [0.5]"),
    ],
)
def test_flags_of_eval_sweep_that_mean_nothing_are_refused(capsys, flags, message):
    with pytest.raises(SystemExit):
        eval_sweep.parse_arguments(["--workdir=run", *flags])
    assert message in capsys.readouterr().err


def test_loss_that_leaves_the_finite_numbers_stops_the_run_and_keeps_the_checkpoint(tmp_path, train_command, run):
    workdir = tmp_path / "hot"
    # A rate that is harmless for some steps, then multiplied: a checkpoint is there when the loss leaves.
    flags = ["--config.train.epochs=1.0", "--config.train.decay_factor=1e30", "--config.train.checkpoint_minutes=0.0"]
    hot = run(train_command(workdir, *flags))
    assert hot.returncode != 0
    assert "error: loss or weights are not finite at step" in hot.stderr
    assert "Traceback" not in hot.stderr
    kept = int(re.search(r"checkpoint of step (\d+)", hot.stderr)[1])
    assert 1 <= kept <= 12
    assert (workdir / "checkpoints" / str(kept)).is_dir()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.train.epoks=3", "--config.train.epoks: the config has no field 'epoks'"),
        ("--config=configs/lenet.py", "--config must be a file, got configs/lenet.py; there are configs/lenet_"),
        ("--config=configs/lenet_digits.py:slim", "method must be one of awn, awn_fixed"),
        ("--config.train.epochs=-1.0", "train.epochs must be above 0 and finite, got -1"),
        ("--config.train.batch_size=5000", "batch_size must be at most the 1438 training images, got 5000"),
        ("--config.data.test_split=validation", "split of digits must be 'train' or 'test', got 'validation'"),
        ("--workdir=README.md", "--workdir must be a folder or not there yet, got README.md"),
        ("--config.data.name=npz:/nowhere.npz", "/nowhere.npz is not a readable .npz file"),
    ],
)
def test_mistakes_are_one_clear_error(tmp_path, train_command, run, flag, message):
    assert_one_error(run(train_command(tmp_path / "run", flag)), message)


def assert_one_error(failed, message):
    assert failed.returncode != 0
    assert message in failed.stderr
    assert failed.stderr.startswith("error: ")
    assert len(failed.stderr.splitlines()) == 1


def test_a_workdir_in_use_is_one_clear_error(tmp_path, train_command, run):
    with files.claim(tmp_path):
        assert_one_error(run(train_command(tmp_path)), f"{tmp_path} is in use by another run")


def test_run_does_not_go_on_with_another_config(train_command, run, training):
    failed = run(train_command(training[0], "--config.train.epochs=5.0"))
    assert_one_error(failed, "train.epochs (was 4.0, now 5.0). Choose another --workdir")


def test_damaged_checkpoint_is_one_clear_error(repository, tmp_path, run, training):
    workdir = copy_of(training[0], tmp_path)
    for file in (workdir / "checkpoints").rglob("d/*"):
        file.write_bytes(file.read_bytes()[:20])
    assert_one_error(run(eval_command(repository, "--workdir", workdir)), "checkpoints/90 cannot be restored")


def test_checkpoint_of_another_network_is_one_clear_error(repository, tmp_path, run, training):
    workdir = copy_of(training[0], tmp_path)
    settings = json.loads((workdir / "config.json").read_text())
    settings["model"]["channels"] = 7
    (workdir / "config.json").write_text(json.dumps(settings))
    assert_one_error(run(eval_command(repository, "--workdir", workdir)), "If it is of another network")


def test_folder_without_a_run_is_one_clear_error(repository, tmp_path, run):
    assert_one_error(run(eval_command(repository, "--workdir", tmp_path)), "config.json is not there")
