"""Exported networks: the same answers in other programs, nothing of other widths, damage found."""

import json
import struct
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from awn_jax import AnyWidthClassifier, AnyWidthHead, Axis, BatchNorm, TriConv, data, experiment, max_pool
from awn_jax import config as configs
from awn_jax.evaluation.logits import logits_at
from awn_jax.export import ExportError, __main__, bundle, flax, onnx, ordinary, stablehlo
from awn_jax.export.read import READ

pytest.importorskip("onnxruntime")
WIDTHS = (0.25, 0.5, 0.75, 1.0)
SAVE = {"stablehlo": stablehlo.save, "onnx": onnx.save, "flax": flax.save}
SUFFIXES = __main__.SUFFIXES


class Skip(AnyWidthClassifier):
    """A user's own network: strides, SAME padding, groups, a dense core, a residual sum, a norm in front of a convolution."""

    def __init__(self, rngs, activation=nnx.relu):
        axis, grouped = Axis.of(10, core=0.25), Axis.of(12, group=6)
        self.stem = TriConv(Axis.whole(3), axis, 3, strides=2, rngs=rngs)
        first = TriConv(axis, axis, (1, 3), use_bias=True, rngs=rngs)
        self.blocks = nnx.List([first, TriConv(axis, grouped, 2, rngs=rngs)])
        self.before, self.after = BatchNorm(axis), BatchNorm(axis)
        self.head = AnyWidthHead(grouped, 6, 5, rngs=rngs)
        self.activation = activation

    def features(self, x, width=1):
        x = self.stem(x, width)
        x = x + self.activation(self.blocks[0](self.before(x, width), width))
        return max_pool(nnx.relu(self.blocks[1](self.after(x, width), width)), 3)


def unusual(model):
    """Statistics, scales and biases that are not the initial ones."""
    generator = np.random.default_rng(0)
    for norm in (model.before, model.after):
        for value in (norm.scale, norm.bias, norm.mean, norm.var):
            value[...] = jnp.asarray(generator.uniform(0.5, 1.5, value.shape), jnp.float32)
    model.eval()
    return model


@pytest.fixture(scope="module")
def own():
    model, size = unusual(Skip(nnx.Rngs(0))), (13, 20, 3)
    images = np.random.default_rng(1).normal(size=(5, *size)).astype(np.float32)
    answers = jax.jit(lambda x: [model(x, width) for width in WIDTHS])(images)
    return model, images, dict(zip(WIDTHS, map(np.asarray, answers), strict=True))


@pytest.fixture(scope="module")
def trained(trained_run):
    config = configs.load(trained_run / "config.json")
    images = experiment.load_data(config, "test")
    model, _ = experiment.restore(config, trained_run, images, data.data_mesh())
    preparation = experiment.preparation(config)
    answers = logits_at(model, images, preparation, WIDTHS)
    prepared = np.asarray(preparation.normalised(jnp.asarray(images.images)))
    return model, images, prepared, dict(zip(WIDTHS, answers, strict=True))


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("to", sorted(SAVE))
def test_a_trained_network_answers_the_same(to, trained, tmp_path):
    model, images, prepared, answers = trained
    path = tmp_path / f"net{SUFFIXES[to]}"
    SAVE[to](ordinary(model, (28, 28, 1), 0.5), path)
    network = READ[to](path, 0.5)
    found = network(prepared)
    close(found, answers[0.5])
    top1 = (found.argmax(-1) == images.labels).mean()
    assert top1 == (answers[0.5].argmax(-1) == images.labels).mean() > 0.8
    # The number of images is free.
    close(network(prepared[:1]), answers[0.5][:1])


@pytest.mark.parametrize("to", sorted(SAVE))
def test_a_network_of_ones_own_answers_the_same(to, own, tmp_path):
    model, images, answers = own
    path = tmp_path / f"net{SUFFIXES[to]}"
    for width in (0.5, 1.0):
        SAVE[to](ordinary(model, (13, 20, 3), width), path)
        close(READ[to](path, width)(images), answers[width])


def test_files_run_in_a_process_without_this_library(trained, tmp_path):
    model, _, prepared, answers = trained
    graph = ordinary(model, (28, 28, 1), 0.25)
    stablehlo.save(graph, tmp_path / "net.stablehlo")
    flax.save(graph, tmp_path / "net.py")
    np.save(tmp_path / "images.npy", prepared[:7])
    script = """
import sys
sys.modules["awn_jax"] = sys.modules["kernels"] = None
import jax, numpy as np
images = np.load("images.npy")
exported = jax.export.deserialize(bytearray(open("net.stablehlo", "rb").read()))
np.save("stablehlo.npy", exported.call(images))
import net
np.save("flax.npy", net.load()(images))
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=120)
    for name in ("stablehlo", "flax"):
        close(np.load(tmp_path / f"{name}.npy"), answers[0.25][:7])


def test_only_the_weights_of_the_width_and_no_batch_norm_are_left(trained):
    graph = ordinary(trained[0], (28, 28, 1), 0.5)
    assert [step.kind for step in graph.steps if step.arrays] == ["conv", "conv", "conv", "head"]
    shapes = [step.arrays["kernel"].shape for step in graph.steps if step.arrays]
    # Of 6 channels, 3 are active at half the width.
    assert shapes == [(3, 3, 1, 3), (3, 3, 3, 3), (5, 5, 3, 3), (3, 16, 10)]


def test_onnx_file_has_ordinary_operations_only(trained, tmp_path):
    import onnx as package

    onnx.save(ordinary(trained[0], (28, 28, 1), 0.5, mean=[0.3], std=[0.4]), tmp_path / "net.onnx")
    model = package.load(tmp_path / "net.onnx")
    operations = [node.op_type for node in model.graph.node]
    block = ["Conv", "Relu"]
    assert operations == ["Transpose", *block, *block, "MaxPool", *block, "MaxPool", "Flatten", "Gemm"]
    assert {entry.key: json.loads(entry.value) for entry in model.metadata_props}["mean"] == [0.3]


def test_an_operation_that_only_jax_knows_goes_to_stablehlo(tmp_path):
    model = unusual(Skip(nnx.Rngs(0), activation=jnp.tanh))
    images = np.random.default_rng(1).normal(size=(3, 13, 20, 3)).astype(np.float32)
    graph = ordinary(model, (13, 20, 3), 0.5)
    stablehlo.save(graph, tmp_path / "net.stablehlo")
    close(READ["stablehlo"](tmp_path / "net.stablehlo", 0.5)(images), jax.jit(lambda x: model(x, 0.5))(images))
    saves = [onnx.save, flax.save, lambda graph, path: bundle.save([graph], path)]
    for save in saves:
        with pytest.raises(ExportError, match="the network also has 'tanh'"):
            save(graph, tmp_path / "net")


@pytest.fixture(scope="module")
def bundled(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "net.safetensors"
    bundle.save([ordinary(trained[0], (28, 28, 1), width, mean=[0.3], std=[0.4]) for width in WIDTHS], path)
    return path


def test_every_width_of_a_bundle_runs_from_the_first_part_of_the_file(bundled, trained, tmp_path):
    _, _, prepared, answers = trained
    raw, part = bundled.read_bytes(), tmp_path / "part"
    held = bundle.blocks(bundled)
    assert [block.width for block in held] == list(WIDTHS)
    assert held[-1].stop == len(raw)
    for block in held:
        part.write_bytes(raw[: block.stop])
        graph = bundle.load(part, block.width)
        close(jax.jit(graph.run)(prepared[:20]), answers[block.width][:20])
        assert graph.mean == (0.3,)
        part.write_bytes(raw[: block.stop - 1])
        with pytest.raises(ExportError, match=f"cut off: width {block.width} needs its first {block.stop:,} bytes"):
            bundle.load(part, block.width)


def test_a_bundle_of_ones_own_network(own, tmp_path):
    model, images, answers = own
    bundle.save([ordinary(model, (13, 20, 3), width) for width in WIDTHS], tmp_path / "net")
    for width in WIDTHS:
        close(jax.jit(bundle.load(tmp_path / "net", width).run)(images), answers[width])


def test_a_bundle_is_a_safetensors_file(bundled):
    from safetensors.numpy import load_file

    tensors = load_file(bundled)
    assert tensors["0000/0000/kernel"].shape == (3, 3, 1, 1)
    # What the second width adds: two new outputs, which read the three inputs of that width.
    assert tensors["0001/0002/kernel"].shape == (3, 3, 3, 2)


def test_any_changed_byte_is_found(bundled, tmp_path):
    raw, damaged = bundled.read_bytes(), tmp_path / "damaged"
    (length,) = struct.unpack("<Q", raw[:8])
    generator = np.random.default_rng(0)
    # Header and blocks, and every byte of the length.
    places = [*range(8), *generator.integers(8, 8 + length, 60), *generator.integers(8 + length, len(raw), 60)]
    for place in places:
        changed = bytearray(raw)
        changed[place] ^= 1 << int(generator.integers(8))
        damaged.write_bytes(changed)
        with pytest.raises(ExportError, match=r"damaged|cut off|not a bundle|is a bundle of version"):
            bundle.load(damaged)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda raw: raw[:-1], "cut off: width 1.0 needs its first"),
        (lambda raw: raw[:100], "cut off: its header has"),
        (lambda raw: raw + b"x", "must have .* bytes"),
        (lambda raw: b"", "not a bundle"),
        (lambda raw: b"\x89PNG\r\n\x1a\n" + raw, "not a bundle"),
        (lambda raw: struct.pack("<Q", 2) + b"{}", "not a bundle"),
        (lambda raw: raw.replace(b'"awn_bundle":"1"', b'"awn_bundle":"2"'), "version 2"),
    ],
)
def test_a_file_that_is_no_whole_bundle_is_refused(bundled, tmp_path, content, message):
    (tmp_path / "file").write_bytes(content(bundled.read_bytes()))
    with pytest.raises(ExportError, match=message):
        bundle.load(tmp_path / "file")


def test_a_width_that_the_bundle_does_not_hold_is_named(bundled):
    with pytest.raises(ExportError, match=r"holds, 0.25, 0.5, 0.75, 1.0; got 0.3"):
        bundle.load(bundled, 0.3)


def test_the_command_compares_what_it_wrote(trained_run, repository):
    command = [sys.executable, "-m", "awn_jax.export", f"--workdir={trained_run}"]
    done = subprocess.run([*command, "--to=bundle"], capture_output=True, text=True, cwd=repository, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the same answers as the trained network") == 4
    assert [block.width for block in bundle.blocks(trained_run / "export" / "bundle.safetensors")] == list(WIDTHS)
    for arguments, message in (
        (["--to=onnx", "--width=0"], "width must be in (0, 1], got 0"),
        (["--to=onnx", "--workdir=/nowhere"], "error: /nowhere/config.json is not there"),
    ):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=repository, timeout=120)
        assert done.returncode
        assert message in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--to=bundle", "--width=0.5"], "--to=bundle takes --widths, got --width=0.5"),
        (["--to=onnx", "--widths", "0.5"], "--to=onnx takes one --width, got --widths; only a bundle holds several"),
        (["--to=flax", "--out=net"], "--out must end in .py with --to=flax, got net"),
    ],
)
def test_flags_that_mean_nothing_together_are_refused(capsys, flags, message):
    with pytest.raises(SystemExit):
        __main__.parse_arguments(["--workdir=run", *flags])
    assert message in capsys.readouterr().err
