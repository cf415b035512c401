"""The benchmark: checks before it times, compares fairly, ends with JSON; the ahead-of-time TPU compiler."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from awn_kernels import reference, shapes, timing
from awn_kernels.backend import PRODUCTS
from awn_kernels.bench import __main__ as bench
from awn_kernels.bench import measure, tpu, train
from awn_kernels.bench.roofline import CHIPS, roofline
from awn_kernels.pallas_tpu.compile import can_compile
from awn_kernels.shapes import Shape, find

TINY = Shape("tiny", 6, 8, 8, batch=2)


def test_last_line_is_json(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shapes, "SHAPES", (TINY,))
    monkeypatch.setattr(timing, "matmul_peak", lambda size, dtype, clock: 1e12)
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
    monkeypatch.setattr(measure, "interleaved", lambda *_, **__: pytest.fail("timed a wrong result"))
    monkeypatch.setattr(
        "awn_kernels.xla.ops.forward", lambda *args, **static: 1.001 * reference.forward(*args, **static)
    )
    with pytest.raises(AssertionError, match="auto at tiny is off by"):
        measure.measure(TINY, "forward", ["auto"], rounds=1, peak=1e12, options={})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--quick", "--widths", "0.5"], "--quick measures width 1 alone"),
        (["--widths", "2"], "must be in (0, 1], got 2"),
        (["--plot", "runs/speed.xyz"], "must end with one of .png, .pdf, .svg, got runs/speed.xyz"),
        (["--plot", "README.md/speed.png"], "argument --plot: nothing can be written to README.md: File exists"),
        (["--rounds", "0"], "argument --rounds: must be at least 1, got 0"),
        (["--implementations", "pallas_mosaic_gpu"], "invalid choice: 'pallas_mosaic_gpu'"),
    ],
)
def test_flags_that_mean_nothing_are_refused(capsys, flags, message):
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


def test_runs_in_a_checkout_and_names_the_shapes_there_are(repository):
    command = [sys.executable, "-m", "kernels.bench", "--shapes", "alexnet"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    error = (
        "python -m kernels.bench: error: argument --shapes: no shape is named 'alexnet', the names are ['lenet_conv1', "
    )
    assert done.stderr.splitlines()[-1].startswith(error)


@pytest.mark.parametrize(
    "network",
    [
        dataclasses.replace(train.LENET, batch=8, size=16),
        dataclasses.replace(train.WIDE, batch=4, size=4, channels=128),
    ],
    ids=["any_width_lenet", "wide"],
)
def test_trains_to_the_loss_of_the_reference(network):
    ours, theirs = (train.train(network, implementation, steps=4) for implementation in (None, "reference"))
    assert ours[-1] < ours[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


@pytest.mark.skipif(not can_compile(), reason="needs the TPU compiler: pip install libtpu")
@pytest.mark.usefixtures("tpu_compiler")
@pytest.mark.parametrize("product", PRODUCTS)
def test_tpu_kernels_compile_for_real_chips(product):
    compiled = tpu.compile_kernel(find("resnet_256"), product, "bfloat16", "v5e")
    assert compiled.code > 0
    assert (compiled.visited, compiled.blocks) == (3, 4)
