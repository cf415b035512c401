"""Weights in one file: what is read is what was saved, to the last bit; and what is no such file is refused."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from awn_jax import config as configs
from awn_jax import models, weights
from awn_jax.export import __main__ as export
from awn_jax.run import Facts, open_run
from awn_jax.training import checksums
from awn_jax.weights import arrays, shipped

FACTS = Facts((16, 16, 1), 3, ("a", "b", "c"), (0.5,), (0.25,), "", 0)


def made(**options):
    config = configs.parse(
        {"model": {"name": "lenet_3c1l", "channels": 8, **options}, "data": {"data_dir": "/private"}}
    )
    network = models.LeNet3C1L((16, 16, 1), 3, config.model.options, rngs=nnx.Rngs(7))
    network.norm1.mean[...] = jnp.arange(8.0)
    return network, config


@pytest.fixture
def saved(tmp_path):
    network, config = made()
    weights.save(tmp_path / "net.safetensors", network, config, FACTS, 5)
    return tmp_path / "net.safetensors"


def numbers(network):
    return checksums.checksum(nnx.to_pure_dict(nnx.state(network)))


@pytest.mark.parametrize("options", [{}, {"core": 0.25, "group": 2}, {"dtype": "bfloat16"}])
def test_what_is_read_is_what_was_saved(tmp_path, options):
    network, config = made(**options)
    weights.save(tmp_path / "net.safetensors", network, config, FACTS, 5)
    found = weights.load(tmp_path / "net.safetensors")
    assert numbers(found.network) == numbers(network)
    assert (found.facts, found.step, found.config.model) == (FACTS, 5, config.model)
    assert found.network.norm1.use_running_average


def test_a_file_holds_the_weights_that_exist_and_no_others(saved):
    held = safetensors.numpy.load(saved.read_bytes())
    # Of 8 × 8 pairs of channels, 8 · 9 / 2 are in the triangle.
    assert held["conv2.kernel"].shape == (3, 3, 36)
    network, _ = made()
    assert np.array_equal(held["conv2.kernel"][..., 0], network.conv2.kernel[..., 0, 0])
    assert b"/private" not in saved.read_bytes()


def test_any_changed_byte_is_noticed(saved):
    content = saved.read_bytes()
    for at in (12, len(content) // 3, len(content) - 1):
        changed = bytearray(content)
        changed[at] ^= 1
        saved.write_bytes(changed)
        with pytest.raises(weights.WeightsError):
            weights.load(saved)
    saved.write_bytes(content[:-5])
    with pytest.raises(weights.WeightsError, match="is not a whole safetensors file"):
        weights.load(saved)


def rewritten(path, change):
    """The file with other arrays or words, and a checksum that fits."""
    with safetensors.safe_open(path, "np") as file:
        said, held = dict(file.metadata()), safetensors.numpy.load(path.read_bytes())
    del said["sha256"]
    change(said, held)
    said["sha256"] = weights.file._digest(held, said)
    path.write_bytes(safetensors.numpy.save(held, said))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said, held: held.pop("norm1.mean"), "norm1.mean is not there"),
        (lambda said, held: held.update(extra=np.zeros(1)), "extra is in no such network"),
        (
            lambda said, held: held.update({"norm1.mean": np.zeros(9, np.float32)}),
            "norm1.mean must be float32 of shape",
        ),
        (lambda said, held: held.update({"norm1.mean": np.zeros(8)}), "norm1.mean must be float32 of shape .*float64"),
        (lambda said, held: said.update(awn_weights="2"), "holds weights of version 2, this library reads 1"),
        (lambda said, held: said.update(config="[]"), "cannot be used"),
        (lambda said, held: said.update(facts='{"classes": 3}'), "cannot be used: KeyError"),
        (lambda said, held: said.pop("awn_weights"), "holds no weights of awn_jax"),
    ],
)
def test_files_that_fit_no_network_are_refused(saved, change, message):
    rewritten(saved, change)
    with pytest.raises(weights.WeightsError, match=message):
        weights.load(saved)


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 64, (2).to_bytes(8, "little") + b"{}"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "net").write_bytes(content)
    with pytest.raises(weights.WeightsError, match="holds no weights of awn_jax"):
        weights.load(tmp_path / "net")
    with pytest.raises(weights.WeightsError, match="cannot be read"):
        weights.load(tmp_path)


def test_nothing_is_changed_where_one_array_does_not_fit():
    network, _ = made()
    before = numbers(network)
    held = {**arrays.taken(network), "norm1.scale": np.zeros(2, np.float32)}
    held["conv1.kernel"] = held["conv1.kernel"] + 1
    with pytest.raises(ValueError, match=r"norm1\.scale"):
        arrays.put(network, held)
    assert numbers(network) == before


# ── those in the package


@pytest.mark.parametrize("name", weights.pretrained())
def test_shipped_weights_are_small_whole_and_described(name):
    path = shipped.path_of(name)
    found = weights.find(name)
    assert path.stat().st_size < 250_000
    assert found.step > 0
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    for words in ("**Trained on**", "**Recipe**", "**Seed**", "**Licence of the weights**: Apache-2.0", "AUC 0."):
        assert words in card
    assert f"{path.stat().st_size:,} bytes" in card
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(nnx.state(found.network)))


def test_what_names_no_weights_is_refused(tmp_path):
    with pytest.raises(weights.WeightsError, match=r"must be one of .*digits.*, the workdir of a run, or a file"):
        weights.find("digit")
    with pytest.raises(weights.WeightsError):
        weights.find(tmp_path / "gone")


# ── from a workdir


def test_a_run_is_packed_by_one_command(trained_run, tmp_path, capsys):
    out = tmp_path / "mine.safetensors"
    flags = [f"--workdir={trained_run}", "--to=weights", f"--out={out}", "--licence=CC0"]
    export.run(export.parse_arguments(flags))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines[1:]] == [
        f"width {width}" for width in ("0.25", "0.5", "0.75", "1")
    ]
    run = open_run(trained_run)
    found = weights.load(out)
    assert numbers(found.network) == numbers(run.restore()[0])
    assert (found.facts, found.step) == (run.facts, run.finished)
    card = pathlib.Path(tmp_path / "mine.md").read_text()
    sweep = json.loads((trained_run / "sweep.json").read_text())
    assert f"AUC {sweep['auc']:.4f}" in card
    assert "train.epochs=4.0" in card
    assert "**Licence of the weights**: CC0" in card
    # A sweep of other weights says nothing of these.
    (trained_run / "sweep.json").write_text(json.dumps({**sweep, "step": 1}))
    with pytest.raises(Exception, match=r"sweep\.json is of step 1"):
        export.run(export.parse_arguments(flags))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--to=weights", "--width=0.5"], "--to=weights is of all widths"),
        (["--to=weights", "--out=net.bin"], "--out must end in .safetensors with --to=weights, got net.bin"),
        (["--to=onnx", "--licence=MIT"], "--licence is for --to=weights, got --to=onnx"),
    ],
)
def test_flags_that_weights_do_not_have_are_refused(capsys, flags, message):
    with pytest.raises(SystemExit):
        export.parse_arguments(["--workdir=run", *flags])
    assert message in capsys.readouterr().err
