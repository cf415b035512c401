"""Bundles: every width from the first part of the file, damage found, no claim of a file believed."""

import copy
import json
import random
import struct
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awn_jax.export import ExportError, bundle, lowered
from awn_jax.export.bundle_layout import digest
from tests.random_networks import random_network

WIDTHS = (0.25, 0.6, 1.0)


@pytest.fixture(scope="module")
def graphs():
    """A network with a concatenation, whose order of channels is another one at every width."""
    model, size = random_network(2)
    return [lowered(model, size, width, mean=[0.3] * size[-1], std=[0.4] * size[-1]) for width in WIDTHS]


@pytest.fixture(scope="module")
def bundled(graphs, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "net.safetensors"
    # In whatever order they come.
    bundle.save(graphs[::-1], path)
    return path


def same(one, other):
    """Whether two graphs are equal, weights and all."""
    facts = [
        (g.image_size, g.width, g.mean, g.std, [(s.kind, s.inputs, s.name, s.settings) for s in g.steps])
        for g in (one, other)
    ]
    arrays = zip(one.steps, other.steps, strict=True)
    return facts[0] == facts[1] and all(
        np.array_equal(array, b.arrays[name]) for a, b in arrays for name, array in a.arrays.items()
    )


def test_every_width_comes_from_the_first_part_of_the_file(bundled, graphs, tmp_path):
    raw, part = bundled.read_bytes(), tmp_path / "part"
    held = bundle.blocks(bundled)
    assert [block.width for block in held] == list(WIDTHS)
    assert held[-1].stop == len(raw)
    for block, graph in zip(held, graphs, strict=True):
        part.write_bytes(raw[: block.stop])
        assert same(bundle.load(part, block.width), graph)
        part.write_bytes(raw[: block.stop - 1])
        with pytest.raises(ExportError, match=f"cut off: width {block.width} needs its first {block.stop:,} bytes"):
            bundle.load(part, block.width)
    assert same(bundle.load(bundled), graphs[-1])


def test_a_bundle_is_a_safetensors_file(bundled, graphs):
    tensors = pytest.importorskip("safetensors.numpy").load_file(bundled)
    kernel, wider = (graph.steps[1].arrays["kernel"] for graph in graphs[:2])
    np.testing.assert_array_equal(tensors["0000/0001/kernel"], kernel)
    # What the second width adds: its three new outputs, with all inputs.
    assert wider.shape[-1] - kernel.shape[-1] == 3
    np.testing.assert_array_equal(tensors["0001/0001/kernel"], wider[..., kernel.shape[-1] :])


def test_graphs_that_do_not_belong_together_are_refused(graphs, tmp_path):
    other, size = random_network(4)
    for wrong, message in (
        ([], "graphs must be one or more"),
        ([graphs[0], graphs[0]], r"of different widths, got \[0\.25, 0\.25\]"),
        ([graphs[0], lowered(other, size, 1)], "must be of one model: that of width 1 has other steps"),
    ):
        with pytest.raises(ExportError, match=message):
            bundle.save(wrong, tmp_path / "net")


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
        (lambda raw: struct.pack("<Q", 4) + b"[[]]", "not a bundle"),
        (lambda raw: struct.pack("<Q", 1 << 20) + b"[" * (1 << 20), "damaged"),
        (lambda raw: raw.replace(b'"awn_bundle":"2"', b'"awn_bundle":"1"'), "version 1"),
    ],
)
def test_a_file_that_is_no_whole_bundle_is_refused(bundled, tmp_path, content, message):
    (tmp_path / "file").write_bytes(content(bundled.read_bytes()))
    with pytest.raises(ExportError, match=message):
        bundle.load(tmp_path / "file")


def test_a_width_or_a_file_that_is_not_there_is_named(bundled, tmp_path):
    with pytest.raises(ExportError, match=r"holds, 0.25, 0.6, 1.0; got 0.3"):
        bundle.load(bundled, 0.3)
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ExportError, match="cannot be read"):
            bundle.load(path)


def opened(raw: bytes):
    """A bundle's header with its JSON read, and what comes behind it."""
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    for name in ("network", "blocks"):
        header["__metadata__"][name] = json.loads(header["__metadata__"][name])
    return header, raw[8 + length :]


def signed(header, rest: bytes) -> bytes:
    """A file with such a header and a checksum that fits."""
    header = copy.deepcopy(header)
    for name in ("network", "blocks"):
        if not isinstance(header["__metadata__"].get(name), str | None):
            header["__metadata__"][name] = json.dumps(header["__metadata__"][name])
    header["__metadata__"]["header_sha256"] = digest(header)
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + rest


def nested(value):
    """All (holder, key) in JSON."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(item, dict | list):
            yield from nested(item)


HOSTILE = (
    None,
    -1,
    0,
    3,
    1 << 20,
    1 << 40,
    1 << 70,
    0.5,
    -1.5,
    1e308,
    True,
    "",
    "x",
    "conv",
    "add",
    [],
    {},
    [1],
    [0, 1 << 33],
    {"a": 1},
    json.loads("[" * 400 + "]" * 400),
)


def test_no_claim_of_a_signed_file_is_believed(bundled, tmp_path):
    """What a header says may be anything: there is an error that says so, or a network that runs."""
    raw, path = bundled.read_bytes(), tmp_path / "net"
    assert signed(*opened(raw)) != raw, "the fixture's own header is written without spaces"
    draw = random.Random(0)
    refused = []
    tracemalloc.start()
    for _ in range(80):
        header, rest = opened(raw)
        holder, key = draw.choice(list(nested(header)))
        if draw.random() < 0.2:
            del holder[key]
        else:
            holder[key] = draw.choice(HOSTILE)
        if "__metadata__" not in header or not isinstance(header["__metadata__"], dict):
            continue
        path.write_bytes(signed(header, rest))
        try:
            graph = bundle.load(path)
        except ExportError as error:
            refused.append(str(error))
        else:
            images = jax.ShapeDtypeStruct((1, *graph.image_size), jnp.float32)
            jax.eval_shape(graph.run, images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(refused) > 50
    assert not any("\n" in message for message in refused)
    assert peak < 32 << 20


def claimed(change):
    def file(raw: bytes) -> bytes:
        header, rest = opened(raw)
        change(header["__metadata__"]["network"], header["__metadata__"]["blocks"], header)
        return signed(header, rest)

    return file


def _large(network, blocks, header):
    """33 GiB, said alike everywhere, of which the file holds nothing."""
    for block in blocks:
        block["steps"][0]["shapes"]["kernel"] = [3, 3, 1 << 20, 1 << 10]
        block["steps"][0]["shapes"]["bias"] = [1 << 10]


def _deep(network, blocks, header):
    header["__metadata__"]["network"] = "[" * 200_000 + "]" * 200_000


def _infinite(network, blocks, header):
    header["__metadata__"]["network"] = json.dumps(network).replace("0.3", "Infinity")


def _later(network, blocks, header):
    network["steps"][0]["inputs"] = [2]


def _descending(network, blocks, header):
    blocks[0]["width"] = 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_large, "must not be made of|must be a whole number"),
        (_deep, "is damaged"),
        (_infinite, "Infinity is no number of JSON"),
        (_later, r"inputs must be a whole number in \[0, 0\]"),
        (_descending, r"must ascend, got 0\.6 after 0\.9"),
    ],
)
def test_claims_that_would_do_harm_are_refused(bundled, tmp_path, change, message):
    (tmp_path / "net").write_bytes(claimed(change)(bundled.read_bytes()))
    with pytest.raises(ExportError, match=message):
        bundle.load(tmp_path / "net")
