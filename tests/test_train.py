"""train.py and eval_sweep.py as a user runs them, on real digits."""

import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import eval_sweep
import train
from awn_jax import data, files, open_run
from awn_jax.errors import UserError
from awn_jax.run import RunError
from awn_jax.training import checkpoints
from awn_jax.training.progress import MetricsLog


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
    # A checkpoint at every step, which slows it down enough to be caught on the way.
    command = train_command(workdir, "--config.train.checkpoint_minutes=0.0")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=repository, env=one_device)
    while process.poll() is None and (not log.exists() or len(metrics(workdir)) < 12):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "SIGINT: saved step" in output
    # A sweep of an unfinished network does not pass for the end of the run.
    assert not (workdir / "finished.json").exists()
    assert len(metrics(workdir)) < len(metrics(whole))
    assert "going on from step" in run(train_command(workdir)).stdout
    assert metrics(workdir) == metrics(whole)
    assert (workdir / "sweep.json").read_text() == (whole / "sweep.json").read_text()
    # The log holds every step's loss to the last bit; the weights say it of what the losses do not see.
    # Read onto one device, as they were trained.
    mesh = jax.make_mesh((1,), data.data_mesh().axis_names, devices=jax.devices()[:1])
    one, other = (open_run(folder).restore(mesh=mesh)[0] for folder in (whole, workdir))
    jax.tree.map(np.testing.assert_array_equal, nnx.state(one), nnx.state(other))


def test_two_processes_share_each_batch_and_stop_together(repository, tmp_path, one_device, train_command, training):
    workdir, log = tmp_path / "hosts", tmp_path / "hosts" / "metrics.jsonl"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    def begin(*more):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = f"--coordinator=localhost:{free.getsockname()[1]}"
        # Each keeps its piece of the optimiser's state.
        flags = ["--multihost", address, "--processes=2", "--config.train.shard_optimizer=True", *more]
        commands = [train_command(workdir, *flags, f"--process={index}") for index in range(2)]
        return [subprocess.Popen(command, cwd=repository, env=one_device, **pipes) for command in commands]

    def end(processes):
        outputs = [process.communicate(timeout=300) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
        assert "──" not in outputs[1][0]
        return outputs[0][0]

    # Each looks at a clock of its own, about every second step.
    processes = begin("--config.train.checkpoint_minutes=4e-4")
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
    record = (workdir / "sweep.json").read_bytes()
    flags = ["--widths", "1/2", "1", "--split", "train", "--plot", tmp_path / "new" / "both.png"]
    done = run(eval_command(repository, f"--workdir={workdir}", other, *flags))
    assert done.returncode == 0, done.stderr
    assert "1,438 images of digits train" in done.stdout
    assert "2 widths in [0.50, 1.00]" in done.stdout.splitlines()[-1]
    assert (tmp_path / "new" / "both.png").read_bytes().startswith(b"\x89PNG")
    # Looking does not change the record.
    assert (workdir / "sweep.json").read_bytes() == record
    assert "not written" in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--widths", "1.5"], "argument --widths: width must be a number in (0, 1], got 1.5"),
        (["--widths", "0.5", "--alpha-min", "0.3"], "--alpha-min says where all widths begin"),
        (["--calibrated", "0.5"], "--calibrated must hold 1, full width, got [0.5]"),
        (["--html", "--widths", "0.5"], "--html needs --out, except of a sweep of all widths on the test images"),
        (["--plot=x.xyz"], "argument --plot: must end with one of .png, .pdf, .svg, .jpg, got x.xyz"),
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
        ("--config=configs/lenet.py", "--config must be a file, got configs/lenet.py; there are configs/fpn_bccd.py, "),
        ("--config=configs/lenet_digits.py:slim", "method must be one of awn, awn_fixed"),
        ("--config.train.epochs=-1.0", "train.epochs must be above 0 and finite, got -1"),
        ("--config.train.epochs=1e300", "train.epochs must give fewer than 2³¹ steps, got 1e+300"),
        ("--config.train.batch_size=5000", "batch_size must be at most the 1438 training images, got 5000"),
        (
            "--config.train.optimizer=adam",
            "optimizer must be one of adamw, lamb, lion, sgd, or module:Name, got 'adam'",
        ),
        (
            "--config.train.accumulate=64",
            "train.accumulate must split train.batch_size=64 into multiples of the 8 devices",
        ),
        ("--config.train.loss=hinge", "train.loss must be one of cross_entropy, or module:Name, got 'hinge'"),
        (
            "--config.task=guess",
            "task must be one of classify, detect, keypoints, segment, taxonomy, or module:Name, got 'guess'",
        ),
        ("--config.data.augment=blur", "augment must be one of"),
        ("--config.model.name=no_such_module:Net", "model.name must be importable"),
        ("--config.data.test_split=validation", "split of digits must be 'train' or 'test', got 'validation'"),
        ("--workdir=README.md", "workdir must be a folder or not there yet, got README.md"),
        ("--workdir=gs://bucket/run", "workdir must be a folder of this machine, got gs://bucket/run"),
        ("--config.data.name=npz:/nowhere.npz", "/nowhere.npz"),
    ],
)
def test_mistakes_are_one_clear_error(tmp_path, train_command, flag, message, monkeypatch, repository):
    monkeypatch.chdir(repository)
    with pytest.raises(UserError) as caught:
        train.main(train_command(tmp_path / "run", flag)[2:])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    # Nothing is left that would stand in the way of the mended command.
    assert not (tmp_path / "run" / "config.json").exists()


def test_an_error_of_a_command_is_one_line(tmp_path, train_command, run):
    assert_one_error(run(train_command(tmp_path / "run", "--config.train.epoks=3")), "the config has no field 'epoks'")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--coordinator=localhost:1"], "--coordinator must come with --multihost"),
        (["--multihost", "--coordinator=localhost:1"], "must be given together, got --coordinator"),
        (
            ["--multihost", "--coordinator=a:1", "--processes=2", "--process=5"],
            "--process must be in [0, --processes), got 5 of 2",
        ),
        (
            ["--multihost", "--coordinator=a:1", "--processes=2", "--process=-1"],
            "--process must be in [0, --processes), got -1",
        ),
    ],
)
def test_flags_of_several_hosts_that_mean_nothing_are_refused(capsys, flags, message):
    with pytest.raises(SystemExit):
        train.parse_arguments(["--config=x", *flags])
    assert message in capsys.readouterr().err


def assert_one_error(failed, message):
    assert failed.returncode != 0
    assert message in failed.stderr
    assert failed.stderr.startswith("error: ")
    assert len(failed.stderr.splitlines()) == 1


def test_a_workdir_in_use_is_one_clear_error(tmp_path, train_command):
    with files.claim(tmp_path), pytest.raises(files.InUseError, match=f"{tmp_path} is in use by another run"):
        train.main(train_command(tmp_path)[2:])


def test_run_does_not_go_on_with_another_config(train_command, training):
    with pytest.raises(UserError, match=r"train.epochs \(was 4.0, now 5.0\). Choose another --workdir"):
        train.main(train_command(training[0], "--config.train.epochs=5.0")[2:])


def test_run_does_not_go_on_with_other_images(tmp_path, train_command, training, digits):
    workdir = copy_of(training[0], tmp_path)
    facts = json.loads((workdir / "run.json").read_text())
    (workdir / "run.json").write_text(json.dumps({**facts, "fingerprint": "0" * 64}))
    with pytest.raises(UserError, match="was begun with other training images than digits holds now"):
        train.main(train_command(workdir)[2:])


def test_a_run_opens_without_its_images(tmp_path, training):
    workdir = copy_of(training[0], tmp_path)
    settings = json.loads((workdir / "config.json").read_text())
    settings["data"]["name"] = "npz:/nowhere.npz"
    (workdir / "config.json").write_text(json.dumps(settings))
    run = open_run(workdir)
    model, step = run.restore()
    assert (step, run.finished, run.facts.class_names) == (90, 90, tuple("0123456789"))
    assert model(jnp.zeros((2, 28, 28, 1)), 0.5).shape == (2, 10)
    with pytest.raises(data.DataError, match=r"/nowhere\.npz"):
        run.images("test")


def restored(run):
    """The network, or what is said in its place."""
    try:
        return run.restore()[0]
    except checkpoints.CheckpointError as error:
        return str(error)


@pytest.mark.parametrize("bits", [1, 1 << 7])
def test_no_flipped_bit_passes_for_a_weight(tmp_path, training, bits):
    workdir, flipped = copy_of(training[0], tmp_path), 0
    run, draw = open_run(workdir), np.random.default_rng(bits)
    whole, _ = run.restore()
    for file in sorted((workdir / "checkpoints" / "90" / "model").rglob("d/*")):
        content = file.read_bytes()
        for position in draw.integers(0, len(content), 4):
            damaged = bytearray(content)
            damaged[position] ^= bits
            file.write_bytes(damaged)
            outcome = restored(run)
            flipped += isinstance(outcome, str)
            if isinstance(outcome, str):
                assert "cannot be restored" in outcome
            else:
                jax.tree.map(np.testing.assert_array_equal, nnx.state(outcome), nnx.state(whole))
        file.write_bytes(content)
    assert flipped


def test_damaged_checkpoint_is_one_clear_error(repository, tmp_path, run, training):
    workdir = copy_of(training[0], tmp_path)
    for file in (workdir / "checkpoints").rglob("d/*"):
        file.write_bytes(file.read_bytes()[:20])
    assert_one_error(run(eval_command(repository, "--workdir", workdir)), "checkpoints/90 cannot be restored")


def test_checkpoint_of_another_network_is_one_clear_error(tmp_path, training):
    workdir = copy_of(training[0], tmp_path)
    settings = json.loads((workdir / "config.json").read_text())
    settings["model"]["channels"] = 7
    (workdir / "config.json").write_text(json.dumps(settings))
    with pytest.raises(checkpoints.CheckpointError, match="If it is of another network"):
        open_run(workdir).restore()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", None, "run.json is not there: is .* the workdir of a run"),
        ("config.json", None, "config.json is not there: is .* the workdir of a run"),
        ("config.json", b"\xff\xfe", "config.json is not JSON"),
        ("config.json", b"[" * 5000, "config.json is not JSON"),
        ("run.json", b"{}", "run.json is damaged"),
        ("run.json", b'{"image_size": NaN}', "run.json is not JSON: NaN is no number of JSON"),
    ],
)
def test_a_damaged_run_is_one_clear_error(tmp_path, training, name, content, message):
    workdir = copy_of(training[0], tmp_path)
    (workdir / name).unlink() if content is None else (workdir / name).write_bytes(content)
    with pytest.raises(RunError, match=message):
        open_run(workdir)


@pytest.mark.parametrize("damage", [b"\xff\xfe", b'{"step": 2, "lo', b"5", b"[1]", b"{}", b'{"step": null}'])
def test_a_damaged_line_of_the_log_is_dropped(tmp_path, damage):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + damage + b'\n{"step": 3}\n{"step": 9}\n')
    MetricsLog(path, 3).close()
    assert path.read_text() == '{"step": 1}\n{"step": 3}\n'
