"""Every kernel at every named layer, lowered for CUDA, and the copy engine's descriptors in it.

Neither the compiler nor interpret mode checks descriptors: the driver refuses bad ones.
"""

import math

import pytest
from awn_kernels.mosaic_gpu.config import ConvTiling, WeightTiling
from jax.experimental.mosaic.gpu import launch_context
from jaxlib.mlir import ir

from tests.kernels.mosaic_shapes import LAYERS, lower_products

TRANSFORMS = ("TileTransform", "TransposeTransform", "CollapseLeadingIndicesTransform", "DropUnitDimsTransform")


@pytest.fixture
def descriptors(monkeypatch):
    """Collects (shape, strides, element bytes, box, swizzle) of every descriptor that a lowering asks for."""
    found, last = [], {}

    def remember(transform):
        apply = transform.apply

        def applied(self, ref):
            result = apply(self, ref)
            last["type"] = ir.MemRefType(result.type)
            return result

        monkeypatch.setattr(transform, "apply", applied)

    for name in TRANSFORMS:
        remember(getattr(launch_context, name))
    describe = launch_context.LaunchContext._get_tma_desc

    def described(self, gmem_ref, gmem_transform, peer, box, swizzle, *more):
        before = len(self.tma_descriptors)
        result = describe(self, gmem_ref, gmem_transform, peer, box, swizzle, *more)
        if len(self.tma_descriptors) > before:
            strides, _ = last["type"].get_strides_and_offset()
            width = 4 if str(last["type"].element_type) == "f32" else 2
            found.append((tuple(last["type"].shape), tuple(strides), width, tuple(box), int(swizzle)))
        return result

    monkeypatch.setattr(launch_context.LaunchContext, "_get_tma_desc", described)
    return found


OTHER_TILES = (ConvTiling(128, 256, 3), WeightTiling(128, 256, 128, stages=2))


@pytest.mark.parametrize(
    ("case", "conv", "weight"),
    [(case, None, None) for case in LAYERS] + [(case, *OTHER_TILES) for case in LAYERS[:4]],
    ids=lambda value: getattr(value, "name", ""),
)
def test_lowers_with_legal_descriptors(case, conv, weight, descriptors):
    lowered = dict(lower_products(case, conv, weight))
    assert len(lowered) == 3
    assert len(descriptors) >= 6  # two operands and a result; of a square layer two products share a kernel
    for shape, strides, width, box, swizzle in descriptors:
        assert 1 <= len(shape) == len(box) <= 5
        assert strides[-1] == 1
        assert all(stride * width % 16 == 0 and stride * width < 2**40 for stride in strides[:-1])
        assert all(1 <= edge <= 256 for edge in box)
        assert all(1 <= size <= 2**32 for size in shape)
        assert box[-1] * width == swizzle == 128
        # A box starts where shared memory's swizzle pattern does.
        assert math.prod(box) * width % 1024 == 0
