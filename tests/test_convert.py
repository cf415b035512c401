"""Ordinary networks' weights from PyTorch and safetensors: the same answers, nothing executed, nothing half taken over."""

import dataclasses
import importlib.util
import io
import json
import pathlib
import pickle
import struct
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from awn_jax import convert, loop, models, weights
from awn_jax.convert import ConvertError, pickled
from awn_jax.convert import __main__ as command
from awn_jax.run import open_run

GOLDEN = pathlib.Path(__file__).parent / "golden"
WANTED = json.loads((GOLDEN / "torch_networks.json").read_text())
_spec = importlib.util.spec_from_file_location("torch_networks", GOLDEN / "torch_networks.py")
torch_networks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(torch_networks)


def made(name, size, classes, **options):
    kind = models.find(name)
    options = kind.Options(family="single", **options)
    # Without drawing weights, which takes longer than all else.
    network = nnx.eval_shape(lambda: kind(size, classes, options, rngs=nnx.Rngs(0)))
    nnx.update(network, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), nnx.state(network)))
    return network, convert.names_of(name, options)


def answers(network, shape):
    network.eval()
    images = jnp.asarray(torch_networks.numbers("images", shape))
    return np.asarray(jax.jit(lambda x: network(x, 1))(images))


@pytest.mark.parametrize(
    ("case", "name", "options"),
    [
        ("basic", "resnet", {"depth": 18, "blocks": (2, 1, 1, 1)}),
        ("bottleneck", "resnet", {"depth": 50, "blocks": (1, 2, 1, 1)}),
        ("mobilenet_v2", "mobilenet_v2", {"blocks": (1, 2, 1, 0, 0, 0, 0)}),
    ],
)
def test_networks_answer_as_those_of_torchvision(case, name, options):
    network, names = made(name, (32, 32, 3), 5, **options)
    arrays = {key: torch_networks.numbers(key, shape) for key, shape in WANTED[case]["shapes"].items()}
    report = convert.fill(network, arrays, names)
    assert not report.missing
    assert not report.unused
    assert {theirs for _, theirs, _ in report.matched} == set(arrays)
    wanted = np.array(WANTED[case]["logits"])
    np.testing.assert_allclose(answers(network, torch_networks.IMAGES), wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.fixture(scope="module")
def lenet():
    return made("lenet_3c1l", (20, 24, 1), 3, channels=4)


@pytest.mark.parametrize("name", ["lenet.pt", "lenet_before.pt", "lenet.safetensors"])
def test_every_kind_of_file_gives_the_same_network(name, lenet, tmp_path):
    """One in PyTorch's form; one in the form before, of a wrapped network in a checkpoint, its kernels strided; safetensors."""
    path = GOLDEN / name
    if name.endswith("safetensors"):
        path = tmp_path / name
        path.write_bytes(safetensors.numpy.save(convert.read(GOLDEN / "lenet.pt")))
    network, names = lenet
    report = convert.fill(network, convert.read(path), names)
    assert len(report.matched) == 17
    assert not report.unused  # counters of batches are not worth a word
    np.testing.assert_allclose(answers(network, (2, 20, 24, 1)), WANTED["lenet"]["logits"], atol=1e-5)


def test_what_does_not_fit_is_said_and_nothing_is_changed(lenet):
    network, names = lenet
    arrays = convert.read(GOLDEN / "lenet.pt")
    before = np.asarray(network.conv1.kernel[...])
    odd = {
        **arrays,
        "conv1.weight": arrays["conv1.weight"] + 1,
        "fc.weight": np.zeros((5, 24), np.float32),
        "extra": before,
    }
    del odd["bn2.running_var"]
    with pytest.raises(
        ConvertError, match=r"norm2\.var \(there is no bn2\.running_var\).*no place for: extra"
    ) as error:
        convert.fill(network, odd, names)
    assert "fc.weight has shape (5, 24), which does not give (4, 6, 3)" in str(error.value)
    assert np.array_equal(network.conv1.kernel[...], before)
    report = convert.fill(network, odd, names, partial=True)
    assert [name for name, _ in report.missing] == ["head.kernel", "norm2.var"]
    assert report.unused == ("extra",)
    assert "not used: extra" in str(report)
    np.testing.assert_allclose(network.conv1.kernel[:, :, 0, 0], odd["conv1.weight"][0, 0])
    with pytest.raises(ConvertError, match=r"bn1\.bias must be finite"):
        convert.fill(network, {**arrays, "bn1.bias": np.full(4, np.nan, np.float32)}, names)
    with pytest.raises(ConvertError, match=r"must be one of lenet_3c1l, mobilenet_v2, resnet.*got 'shufflenet_v1'"):
        convert.names_of("shufflenet_v1", None)


# ── files that mean harm, or are damaged


class Harm:
    """What runs a command when it is unpickled as usual."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def zipped(content, path, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
    return path


def test_a_malicious_pickle_does_not_run(tmp_path):
    harm = pickle.dumps({"weight": Harm(tmp_path / "harmed")}, 2)
    pickle.loads(harm)
    (tmp_path / "harmed").unlink()  # it does harm where it is let
    header = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    (tmp_path / "before.pt").write_bytes(header + harm)
    for path in (zipped(harm, tmp_path / "now.pt"), tmp_path / "before.pt"):
        with pytest.raises(ConvertError, match=r"holds \w+\.\w+, which weights have no need of"):
            convert.read(path)
    # By other roads: an attribute of something allowed, and code that is built on what is known.
    for code in (b"ccollections\nOrderedDict.clear\n)R.", b"cbuiltins\neval\n(Vopen('x')\ntR.", b"\x80\x02\x82\x01."):
        with pytest.raises(ConvertError):
            convert.read(zipped(code, tmp_path / "more.pt"))
    assert not (tmp_path / "harmed").exists()


def test_files_that_are_cut_off_give_one_line(tmp_path):
    for name in ("lenet.pt", "lenet_before.pt"):
        content = (GOLDEN / name).read_bytes()
        for size in (3, 30, len(content) // 2, len(content) - 1):
            (tmp_path / name).write_bytes(content[:size])
            with pytest.raises(ConvertError) as error:
                convert.read(tmp_path / name)
            assert str(error.value).startswith(f"{tmp_path / name} is ")
            assert "\n" not in str(error.value)


def tensor(shape, strides, start=0, length=6):
    storage = pickled.Storage("0", np.dtype(np.float32), length)
    return pickled.Tensor(storage, start, shape, strides).array(np.arange(length, dtype=np.float32).tobytes())


def test_tensors_lie_within_their_numbers():
    assert tensor((2, 3), (1, 2)).tolist() == [[0, 2, 4], [1, 3, 5]]
    assert tensor((), (), 5) == 5
    assert tensor((0, 9), (9, 1)).shape == (0, 9)
    for wrong in (
        ((2, 3), (3, 2)),
        ((7,), (1,)),
        ((2,), (-1,)),
        ((9,), (0,)),
        ((2,), (1, 1)),
        ((2,), ("a",)),
        ((1 << 70,), (0,)),
    ):
        with pytest.raises(ValueError, match="a tensor"):
            tensor(*wrong)
    with pytest.raises(ValueError, match="does not lie in its 6 numbers"):
        tensor((2,), (1,), 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"epoch": 3}, 2), "holds no dictionary of tensors, neither by itself nor under state_dict"),
        (pickle.dumps([1, 2], 2), "holds no dictionary of tensors"),
        (b"\x80\x02}r" + struct.pack("<I", 1 << 30) + b".", "remembers more than 1,048,576 values"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "refers to numbers in a way that is not known here"),
    ],
)
def test_other_pickles_are_refused(content, message, tmp_path):
    with pytest.raises(ConvertError, match=message):
        convert.read(zipped(content, tmp_path / "net.pt"))


def test_other_zip_files_are_refused(tmp_path):
    with pytest.raises(ConvertError, match="is compressed, as PyTorch does not do it"):
        convert.read(zipped(b"x" * 100, tmp_path / "net.pt", zipfile.ZIP_DEFLATED))
    content = io.BytesIO()
    np.savez(content, x=np.zeros(3))
    (tmp_path / "net.npz").write_bytes(content.getvalue())
    with pytest.raises(ConvertError, match=r"without data\.pkl, and so none of PyTorch's"):
        convert.read(tmp_path / "net.npz")


# ── the command, and training from what it makes


@pytest.fixture(scope="module")
def converted(tmp_path_factory, repository):
    """The workdir that the command makes, and its flags."""
    place = tmp_path_factory.mktemp("converted")
    flags = [str(GOLDEN / "lenet.pt"), f"--config={repository}/configs/lenet_digits.py:single_100"]
    flags += ["--config.model.channels=4", f"--workdir={place}/run", "--image-size=20,24,1", "--classes=3"]
    command.main(flags)
    return place / "run", flags


def test_the_command_makes_a_run(converted, capsys):
    workdir, flags = converted
    network, step = open_run(workdir).restore()
    assert step == 0
    np.testing.assert_allclose(answers(network, (2, 20, 24, 1)), WANTED["lenet"]["logits"], atol=1e-5)
    assert weights.find(workdir).facts.classes == 3
    with pytest.raises(ConvertError, match="--workdir must not hold a run"):
        command.main(flags)
    others = [flag.replace(":single_100", "") for flag in flags]
    with pytest.raises(
        ConvertError, match=r"must be of an ordinary network, as .*lenet_digits\.py:single_100.*'triangular'"
    ):
        command.main(others)
    for wrong, message in (
        ("--image-size=20,24", "must be height, width and planes"),
        ("--classes=0", "must be above 0"),
    ):
        with pytest.raises(SystemExit):
            command.parse_arguments([*flags, wrong])
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.parse_arguments([flag for flag in flags if "classes" not in flag])
    assert "--image-size and --classes must be given together" in capsys.readouterr().err


def test_a_triangular_network_begins_from_an_ordinary_one(converted, lenet):
    workdir, _ = converted
    ordinary = weights.find(workdir).network
    network = models.LeNet3C1L((20, 24, 1), 3, channels=4, rngs=nnx.Rngs(1))
    assert weights.begin_from(workdir, network) == ()
    exists = np.tri(4, dtype=bool).T
    kept = np.where(exists, ordinary.conv2.kernel[...], 0)
    np.testing.assert_allclose(network.conv2.kernel[...], kept * np.sqrt(4 / np.array([1, 2, 3, 4])), rtol=1e-6)
    assert np.array_equal(network.conv1.kernel[...], ordinary.conv1.kernel[...])
    assert np.array_equal(network.norm3.var[...], ordinary.norm3.var[...])
    assert np.array_equal(network.head.kernel[...], ordinary.head.kernel[...])
    # Other classes: a last layer of its own. Other channels: refused.
    other = models.LeNet3C1L((20, 24, 1), 7, channels=4, rngs=nnx.Rngs(1))
    before = np.asarray(other.head.kernel[...])
    assert weights.begin_from(workdir, other) == ("head.bias", "head.kernel")
    assert np.array_equal(other.head.kernel[...], before)
    wide = models.LeNet3C1L((20, 24, 1), 3, channels=5, rngs=nnx.Rngs(1))
    with pytest.raises(
        weights.WeightsError, match=r"conv1\.kernel must have shape \(3, 3, 1, 5\), .* has \(3, 3, 1, 4\)"
    ):
        weights.begin_from(workdir, wide)


def test_training_begins_where_another_run_has_ended(trained_run, tmp_path):
    run = open_run(trained_run)
    train = dataclasses.replace(run.config.train, epochs=0.05, learning_rate=1e-9, init_from=str(trained_run))
    outcome = loop.train(dataclasses.replace(run.config, train=train), tmp_path / "run", quiet=True)
    assert outcome.step == 1
    before, after = (nnx.state(network, nnx.Param) for network in (run.restore()[0], outcome.model))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), before, after)
