"""The Hopper kernels compiled to machine code without a GPU. Needs JAX's CUDA plugin and `ptxas`."""

import re

import pytest
from awn_kernels.mosaic_gpu.compile import offline_sharding
from awn_kernels.mosaic_gpu.config import ConvTiling, WeightTiling

from tests.kernels.mosaic_shapes import LAYERS, lower_products

pytest.importorskip("jax_cuda13_plugin", reason="needs JAX's CUDA plugin")
pytest.importorskip("nvidia.cu13", reason="needs ptxas, from the package nvidia-cuda-nvcc")

BY_NAME = {layer.name: layer for layer in LAYERS}


@pytest.mark.parametrize(
    ("name", "conv", "weight"),
    [
        ("conv3_512", None, None),
        ("resnet_256_to_512", None, None),
        ("mobilenet_head", None, None),
        ("lenet_conv1", None, None),
        ("conv3_512", ConvTiling(128, 256, 3), WeightTiling(256, 128, stages=3)),
        ("conv1_512", ConvTiling(256, 128, 4, 0), WeightTiling(128, 256, stages=4)),
    ],
)
def test_compiles_without_spilling(name, conv, weight, capfd, monkeypatch):
    monkeypatch.setenv("MOSAIC_GPU_DUMP_PTXAS", "1")
    for _, lowered in lower_products(BY_NAME[name], conv, weight, offline_sharding()):
        lowered.compile()
    report = "".join(capfd.readouterr())
    spills = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report)
    # Of a square layer the input gradient is the forward kernel, compiled once.
    assert len(spills) >= 2, report
    assert set(spills) == {("0", "0", "0")}, report
    # What ptxas says when it must wait for every wgmma before the next.
    assert "serializ" not in report, report
