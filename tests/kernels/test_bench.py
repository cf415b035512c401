"""The benchmark: checks before it times, compares fairly, ends with JSON; the ahead-of-time TPU compiler."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from awn_kernels import bench, reference, timing, tpu_compile
from awn_kernels.roofline import CHIPS, roofline
from awn_kernels.shapes import SHAPES, Shape, at_widths, find
from awn_kernels.timing import Times

TINY = Shape("tiny", 6, 8, 8, batch=2)


def test_last_line_is_json(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench, "find", lambda name: TINY)
    monkeypatch.setattr(timing, "matmul_peak", lambda clock: 1e12)
    plot = tmp_path / "plots" / "bench.png"
    bench.main(
        ["--shapes", "tiny", "--quick", "--rounds", "1", "--implementations", "auto", "reference", "--plot", str(plot)]
    )
    results = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {(r["pass"], r["implementation"]) for r in results} == {
        (p, i) for p in ("forward", "forward+backward") for i in ("auto", "reference")
    }
    assert all(r.keys() == {"shape", "pass", "implementation", "vs_masked", "vs_equal_weights"} for r in results)
    assert all(r["shape"] == "tiny" and r["vs_masked"] > 0 and r["vs_equal_weights"] > 0 for r in results)
    assert plot.stat().st_size > 1000


def test_wrong_results_are_not_timed(monkeypatch):
    monkeypatch.setattr(timing, "interleaved", lambda *_: pytest.fail("timed a wrong result"))
    monkeypatch.setattr(
        "awn_kernels.xla_staircase.forward", lambda *args, **static: 1.001 * reference.forward(*args, **static)
    )
    with pytest.raises(AssertionError, match="auto at tiny is off by"):
        bench.measure(TINY, "forward", ["auto"], rounds=1, peak=1e12, options={})


def test_ratios_are_taken_within_rounds():
    # A neighbour makes the second round three times as slow for both: the ratio of medians would be 6.
    ours, theirs = Times((1.0, 3.0, 1.0)), Times((2.0, 6.0, 6.0))
    assert ours.speed_against(theirs) == 2
    assert ours.median == 1
    assert ours.spread == 1


def test_candidates_take_turns():
    order = []
    candidates = {name: (lambda x, name=name: order.append(name) or x, (jnp.ones(()),)) for name in "ab"}
    times = timing.interleaved(candidates, rounds=2)
    assert [len(t.seconds) for t in times.values()] == [2, 2]
    runs = [name for i, name in enumerate(order) if i == 0 or name != order[i - 1]]
    assert runs == list("ab" * 3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--quick", "--widths", "0.5"], "--quick measures width 1 alone"),
        (["--train", "--shapes", "resnet_64"], "--train has networks of its own"),
        (["--train", "--widths", "0.5"], "--quick, --widths and --implementations are of the layers' benchmark"),
        (["--widths", "2"], "must be in (0, 1], got 2"),
        (["--rounds", "0"], "--rounds must be at least 1, got 0"),
        (["--implementations", "pallas_mosaic_gpu"], "invalid choice: 'pallas_mosaic_gpu'"),
    ],
)
def test_flags_that_mean_nothing_together_are_refused(capsys, flags, message):
    with pytest.raises(SystemExit):
        bench.main(flags)
    assert message in capsys.readouterr().err


def test_roofline_counts_what_the_blocks_spend():
    # 1024 channels: 36 of 64 blocks. 816 inputs and 136 outputs: 13 of 7 × 2 blocks, each computed whole.
    assert roofline(find("resnet_1024")).tpu_share == 36 / 64
    shape = find("mobilenet_project_136")
    visited = 13 * 128 * 128
    assert roofline(shape).tpu_share == visited / (shape.in_channels * shape.out_channels)
    arithmetic, _ = roofline(shape).seconds(CHIPS[0])
    np.testing.assert_allclose(arithmetic, 2 * shape.batch * shape.out_size**2 * visited / CHIPS[0].flops)


def test_named_shapes():
    triangle = find("resnet_256")
    assert triangle.visible == tuple(range(1, 257))
    assert find("lenet_conv1").visible == (1,) * 45
    assert find("mobilenet_expand_34").visible[:7] == (1,) * 6 + (2,)
    assert find("mobilenet_project_34").visible[:2] == (6, 12)
    assert find("mobilenet_head").visible[-1] == 452
    # An ordinary layer of equal weights, to a channel's rounding.
    narrow = triangle.narrower()
    assert narrow.in_channels * narrow.out_channels == pytest.approx(sum(triangle.visible), rel=0.01)
    with pytest.raises(ValueError, match="no shape is named 'alexnet'"):
        find("alexnet")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_width_is_a_prefix(shape):
    for narrow in at_widths(shape):
        assert narrow.visible == shape.visible[: narrow.out_channels]
        x, w = narrow.arguments(batch=1)
        assert jax.eval_shape(narrow.conv, x, w).shape == (1, narrow.out_size, narrow.out_size, narrow.out_channels)


@pytest.mark.skipif(not tpu_compile.libtpu_is_installed(), reason="needs the TPU compiler: pip install libtpu")
@pytest.mark.parametrize("product", tpu_compile.PRODUCTS)
def test_tpu_kernels_compile_for_real_chips(product):
    compiled = tpu_compile.compile_kernel(find("resnet_256"), product, "bfloat16", "v5e")
    assert compiled.code > 0
    assert (compiled.visited, compiled.blocks) == (3, 4)
