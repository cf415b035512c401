"""`python -m awn_jax.export`: what it writes is compared with the trained network, with the test images or without them."""

import json
import shutil

import numpy as np
import pytest

from awn_jax.errors import UserError
from awn_jax.export import ExportError, __main__, bundle, read

pytest.importorskip("onnxruntime")


def export(*flags):
    __main__.run(__main__.parse_arguments(list(map(str, flags))))


def test_the_command_compares_what_it_wrote(trained_run, tmp_path, capsys):
    export(f"--workdir={trained_run}", "--to=bundle", "--widths", "1", "1/3")
    lines = capsys.readouterr().out.splitlines()
    assert [block.width for block in bundle.blocks(trained_run / "export" / "bundle.safetensors")] == [1 / 3, 1]
    assert lines[0].startswith(f"wrote {trained_run}/export/bundle.safetensors")
    for line, width in zip(lines[1:], ("0.333333", "1"), strict=True):
        assert line.startswith(f"width {width}, 359 test images: top-1 % ")
        exported, trained = line.partition("; outputs")[0].partition("top-1 % ")[2].split(", trained top-1 % ")
        assert exported == trained
        assert float(trained) > 50


@pytest.mark.parametrize(("to", "name"), [("onnx", "w0.5.onnx"), ("flax", "w0_5.py"), ("stablehlo", "w0.5.stablehlo")])
def test_the_run_folder_alone_is_enough(to, name, trained_run, tmp_path, capsys):
    config = json.loads((trained_run / "config.json").read_text())
    config["data"]["name"] = f"npz:{tmp_path}/gone.npz"
    (trained_run / "config.json").write_text(json.dumps(config))
    export(f"--workdir={trained_run}", f"--to={to}", "--width=0.5")
    out = capsys.readouterr().out
    assert "the test images are not at hand, so random ones are taken" in out
    assert "width 0.5, 64 random images: outputs, the largest" in out
    # Mean and deviation are those of the run.
    images = np.zeros((2, 28, 28, 1), np.float32)
    assert read.network(trained_run / "export" / name, to, 0.5)(images).shape == (2, 10)
    with pytest.raises(UserError, match=r"gone\.npz"):
        export(f"--workdir={trained_run}", f"--to={to}", f"--data-dir={tmp_path}")


def test_an_export_that_answers_otherwise_ends_with_an_error(trained_run, tmp_path, monkeypatch):
    monkeypatch.setattr(read, "network", lambda *_: lambda images: np.zeros((len(images), 10), np.float32))
    with pytest.raises(ExportError, match="does not answer as the trained network does"):
        export(f"--workdir={trained_run}", "--to=onnx", f"--out={tmp_path}/net.onnx")


def test_the_place_is_checked_before_the_network_is_restored(trained_run, tmp_path):
    shutil.rmtree(trained_run / "checkpoints")
    (tmp_path / "file").touch()
    for out, message in ((tmp_path, "--out must be a file"), (tmp_path / "file" / "net", "--out must be a folder")):
        with pytest.raises(UserError, match=message):
            export(f"--workdir={trained_run}", "--to=onnx", f"--out={out}")
    with pytest.raises(UserError, match=r"config\.json is not there: is .* the workdir of a run"):
        export(f"--workdir={tmp_path}", "--to=onnx")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--to=bundle", "--width=0.5"], "--to=bundle takes --widths, got --width=0.5"),
        (["--to=onnx", "--widths", "0.5"], "--to=onnx takes one --width, got --widths; only a bundle holds several"),
        (["--to=flax", "--out=net"], "--out must end in .py with --to=flax, got net"),
        (["--to=onnx", "--width=3/2"], "width must be a number in (0, 1], got 3/2"),
        (["--to=tflite"], "invalid choice: 'tflite'"),
    ],
)
def test_flags_that_mean_nothing_together_are_refused(capsys, flags, message):
    with pytest.raises(SystemExit):
        __main__.parse_arguments(["--workdir=run", *flags])
    assert message in capsys.readouterr().err
