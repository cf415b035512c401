"""What is said of a step on many chips: what a program sends is read exactly, seconds follow from it, mistakes are named."""

import json

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import PartitionSpec

from awn_jax import data
from awn_jax.config import ConfigError
from awn_jax.scale import __main__ as command
from awn_jax.scale import collectives, hlo, roofline, slices, traffic
from awn_jax.scale.collectives import Collective

LENET = ["--config=configs/lenet_mnist.py", "--image-size=16,16,1", "--classes=3", "--config.model.channels=2"]
ONE_WIDTH = ["--config.widths.train=fixed", "--config.widths.fixed=(1.0,)"]


@pytest.fixture(scope="module")
def text():
    """A program for eight devices that does one of each kind, and the sum also three times in a loop."""

    def send(x):
        row = lax.axis_index("data").astype(jnp.float32) * x
        around = [(device, (device + 1) % 8) for device in range(8)]
        looped, _ = lax.scan(lambda total, _: (lax.psum(total * row[0, 0], "data"), None), row[:, :5], length=3)
        return (
            lax.psum(row, "data"),
            lax.all_gather(row[:, :3], "data"),
            lax.psum_scatter(row[:, :40].reshape(8, 5), "data"),
            lax.ppermute(row[:, :7].astype(jnp.int8), "data", around),
            lax.all_to_all(row[:, :16].reshape(8, 2), "data", 0, 0),
            looped,
        )

    whole, pieces = PartitionSpec(), PartitionSpec("data")
    specs = (whole, whole, pieces, pieces, pieces, whole)
    sharded = jax.shard_map(send, mesh=data.data_mesh(), in_specs=pieces, out_specs=specs, check_vma=False)
    return jax.jit(sharded).lower(jnp.zeros((8, 100))).compile().as_text()


def test_what_a_program_sends_is_read_to_the_byte(text):
    assert sorted(collectives.read(text, 8)) == [
        Collective("all-gather", 8 * 3 * 4, 8),
        Collective("all-reduce", 5 * 4, 8, times=3),
        Collective("all-reduce", 100 * 4, 8),
        Collective("all-to-all", 16 * 4, 8),
        Collective("collective-permute", 7, 8),
        Collective("reduce-scatter", 40 * 4, 8),
    ]


def test_each_device_sends_what_the_best_ring_does():
    sent = {kind: Collective(kind, 800, 8).sent for kind in collectives.KINDS}
    assert sent == {
        "all-reduce": 1400,
        "all-gather": 700,
        "reduce-scatter": 700,
        "all-to-all": 700,
        "collective-permute": 800,
    }


# As the compiler for TPUs writes it.
TPU = """HloModule jit_step, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[]{:T(128)} add(%a, %b)
}

%below (p: (s32[], f32[9])) -> pred[] {
  %end = s32[]{:T(128)} constant(4)
  %p = (s32[]{:T(128)}, f32[9]{0:T(128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%p), index=0
  ROOT %lt = pred[]{:T(512)} compare(%i, %end), direction=LT
}

%body (p.1: (s32[], f32[9])) -> (s32[], f32[9]) {
  %p.1 = (s32[]{:T(128)}, f32[9]{0:T(128)}) parameter(0)
  %x = f32[9]{0:T(128)} get-tuple-element(%p.1), index=1
  %y = f32[9]{0:T(128)S(1)} all-reduce(%x), replica_groups=mesh['axis_0'=8,'axis_1'=2] {'axis_0'}, to_apply=%add
  ROOT %t = (s32[]{:T(128)}, f32[9]{0:T(128)}) tuple(%i, %y)
}

%all-reduce-scatter.1 (q: bf16[16,20]) -> bf16[1,20] {
  %q = bf16[16,20]{1,0:T(8,128)(2,1)} parameter(0)
  %whole = bf16[16,20]{1,0:T(8,128)(2,1)} all-reduce(%q), replica_groups=[1,16]<=[16], to_apply=%add
  ROOT %own = bf16[1,20]{1,0:T(8,128)(2,1)} dynamic-slice(%whole, %zero, %zero), dynamic_slice_sizes={1,20}
}

ENTRY %main (a.1: bf16[16,20], b.1: f32[9]) -> (bf16[1,20], f32[9]) {
  %a.1 = bf16[16,20]{1,0:T(8,128)(2,1)} parameter(0)
  %near = (bf16[16,20]{1,0:T(8,128)(2,1)S(1)}, bf16[16,20]{1,0:T(8,128)(2,1)}, u32[]{:S(2)}) copy-start(%a.1)
  %there = bf16[16,20]{1,0:T(8,128)(2,1)S(1)} copy-done(%near)
  %piece = bf16[1,20]{1,0:T(8,128)(2,1)} fusion(%there), kind=kCustom, calls=%all-reduce-scatter.1
  %loop = (s32[]{:T(128)}, f32[9]{0:T(128)}) while(%start), condition=%below, body=%body
  %go = (f32[2]{0}, f32[6]{0}) all-gather-start(%c), replica_groups={{0,1,2},{3,4,5}}, dimensions={0}
  %gone = f32[6]{0} all-gather-done(%go)
  %alone = f32[9]{0} all-reduce(%d), replica_groups={{0},{1}}, to_apply=%add
  ROOT %out = (bf16[1,20]{1,0:T(8,128)(2,1)}, f32[9]{0:T(128)}) tuple(%piece, %loop)
}
"""


def test_programs_for_tpus_are_read_too():
    assert collectives.read(TPU, 16) == [
        Collective("reduce-scatter", 16 * 20 * 2, 16),
        Collective("all-reduce", 9 * 4, 8, times=4),
        Collective("all-gather", 6 * 4, 3),
    ]


def test_traffic_counts_whole_tiles_of_the_large_memory():
    """The copy to VMEM, the fusion's piece; the loop's sum four times; what has no tiles as it is."""
    assert traffic.read(TPU) == 16 * 128 * 2 + 8 * 128 * 2 + 4 * 128 * 4 + 4 * (2 + 6) + 4 * 9
    (array,) = hlo.arrays("f32[64,7,7,45]{0,3,2,1:T(8,128)}")
    assert traffic.padded(array) == 128 * 48 * 7 * 7 * 4


# ── seconds


@pytest.mark.parametrize(
    ("name", "chips", "links", "hops"), [("v5e:2x2", 4, 2, 2), ("v5e:8x16", 128, 3, 15), ("v5e:16x16", 256, 4, 16)]
)
def test_only_rows_of_sixteen_are_rings(name, chips, links, hops):
    found = slices.parse(name)
    assert (found.name, found.chips, found.bandwidth, found.hops) == (name, chips, links * 50e9, hops)


def test_seconds_follow_from_the_peaks():
    on = slices.parse("v5e:2x2")
    sent = [Collective("all-reduce", 400_000_000, 4), Collective("all-gather", 40, 4, times=10)]
    found = roofline.estimate(197e12, 2 * 819 * 10**9, sent, 64, on)
    # 600 MB from each chip by two links of 50 GB a second; ten gathers of two hops.
    assert (found.arithmetic, found.memory, found.transfer) == pytest.approx((1, 2, 6e-3))
    assert (found.hops, found.step, found.images_per_second) == pytest.approx((20e-6, 2.00602, 4 * 64 / 2.00602))
    # Work in proportion to the images: there, it takes as long as waiting.
    assert found.alone * found.even / 64 == pytest.approx(found.waiting)


# ── the command


def test_a_step_is_compiled_and_told(capsys, monkeypatch):
    """For the devices that are here, in place of those of a slice."""
    monkeypatch.setattr(slices.Slice, "mesh", lambda self: data.data_mesh())
    monkeypatch.setattr(command.importlib.metadata, "version", lambda name: "0")
    command.main(["--topology=v5e:2x4", "--batch-size=16", "--shard-optimizer", *LENET, *ONE_WIDTH])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["chips"], found["images_per_chip"]) == (8, 2)
    assert found["memory"]["images"] == 2 * 16 * 16 + 2 * 4
    assert found["memory"]["optimizer"] < found["memory"]["parameters"]
    # The gradient of every parameter, and statistics; then the pieces of what has been updated.
    (sums, gathers) = (found["collectives"][f"all-{name}, hops"]["bytes"] for name in ("reduce", "gather"))
    assert found["memory"]["parameters"] <= sums < 2 * found["memory"]["parameters"]
    assert 0 < gathers < found["memory"]["parameters"]
    # Arithmetic that the network's own counts expect, and what surrounds it.
    assert 0.5 < found["flops"] / found["flops_needed"] < 20


@pytest.mark.skipif(not slices.can_compile(), reason="needs the TPU compiler: pip install libtpu")
@pytest.mark.usefixtures("tpu_compiler")
def test_a_step_compiles_for_real_chips(capsys):
    command.main(["--topology=v5e:2x2", "--batch-size=8", *LENET, *ONE_WIDTH])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["chips"] == 4
    assert 0 < found["memory"]["total"] < 1e8
    assert found["collectives"]["all-reduce, hops"]["bytes"] >= found["memory"]["parameters"] / 2
    assert found["images_per_second"] > 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--topology=v5e:3x5"],
            "must be v5e or v6e, a colon and one of 2x2, 2x4, 4x4, 4x8, 8x8, 8x16, 16x16, got v5e:3x5",
        ),
        (["--topology=v9:2x2"], "got v9:2x2"),
        (["--topology=v5e:2x2", "--batch-size=0"], "argument --batch-size: must be above 0 and finite, got 0"),
        (["--topology=v5e:2x2", "--image-size=8,8"], "must be height, width and planes, as 224,224,3, got 8,8"),
        (
            ["--topology=v5e:2x2", "--batch-size=8", "--config.train.batch_size=8"],
            "--config.train.batch_size cannot be given: --batch-size says it",
        ),
    ],
)
def test_mistakes_are_named(capsys, flags, message):
    with pytest.raises(SystemExit):
        command.parse_arguments([*flags, "--config=x.py"])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch-size=12", *LENET], "--batch-size must be a multiple of the 8 chips, got 12"),
        (["--config=configs/lenet_mnist.py"], "--image-size must be given, as 32,32,3, where data.image_size is empty"),
        (["--config=configs/unet_nuclei.py"], "task must be 'classify': .* got 'segment'"),
    ],
)
def test_what_cannot_be_compiled_is_refused(monkeypatch, flags, message):
    monkeypatch.setattr(slices.Slice, "mesh", lambda self: data.data_mesh())
    with pytest.raises(ConfigError, match=message):
        command.main(["--topology=v5e:2x4", *flags])


def test_without_the_compiler_there_is_a_line(monkeypatch):
    monkeypatch.setattr(slices, "can_compile", lambda: False)
    with pytest.raises(slices.SliceError, match=r"--topology=v5e:2x2 needs the TPU compiler, .*: pip install libtpu"):
        command.main(["--topology=v5e:2x2", *LENET])
