"""Layers at which the Hopper kernels are checked, tuned, compiled and measured, and how much of each is done."""

import dataclasses

from ...shapes import SHAPES, Shape

# A GPU is fed larger batches than a CPU.
BATCH = 128

# What must be measured: the claims are about these.
KEY_LAYERS = (
    Shape("conv3_512", 28, 512, 512, batch=128),
    Shape("conv3_1024", 14, 1024, 1024, batch=128),
    Shape("conv1_512", 28, 512, 512, kernel=1, padding=0, batch=256),
    Shape("conv1_1024", 14, 1024, 1024, kernel=1, padding=0, batch=256),
)
OTHER_LAYERS = (
    *(dataclasses.replace(shape, batch=BATCH) for shape in SHAPES),
    Shape("resnet_256_to_512", 28, 256, 512, stride=2, batch=BATCH),
    Shape("resnet_shortcut_256_to_512", 28, 256, 512, kernel=1, stride=2, padding=0, batch=BATCH),
)
# Of the net whose training step is measured.
NETWORK_LAYER = Shape("net3_512", 16, 512, 512, batch=256)
# So small that interpret mode gets through all of the bench.
TINY_LAYERS = (
    Shape("tiny_conv3", 6, 72, 72, batch=1),
    Shape("tiny_conv1", 6, 72, 40, kernel=1, padding=0, batch=1),
    Shape("tiny_stride2", 7, 8, 16, stride=2, batch=1),
)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much to do."""

    key: tuple[Shape, ...] = KEY_LAYERS
    other: tuple[Shape, ...] = OTHER_LAYERS
    network: Shape = NETWORK_LAYER
    network_blocks: int = 4
    peak_size: int = 8192
    copy_size: int = 1 << 28
    search_seconds: float = 200.0
    search_limit: int | None = None
    search_threads: int = 8
    samples: int = 7

    @staticmethod
    def tiny() -> "Sizes":
        """Returns sizes for interpret mode."""
        return Sizes(
            key=TINY_LAYERS[:1],
            other=TINY_LAYERS[1:],
            network=Shape("tiny", 4, 8, 8, batch=1),
            network_blocks=1,
            peak_size=64,
            copy_size=1 << 10,
            search_limit=2,
            search_threads=1,
            samples=1,
        )
