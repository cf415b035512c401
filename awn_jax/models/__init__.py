"""Networks, one a file, and their registry: a new one is its file, a line below, a config and a test."""

from typing import Any

from awn_jax import registry
from awn_jax.models.base import AnyWidthClassifier, AnyWidthNetwork
from awn_jax.models.exits import Exit, exits
from awn_jax.models.fpn import FPN
from awn_jax.models.lenet import LeNet3C1L
from awn_jax.models.mobilenet_v1 import MobileNetV1
from awn_jax.models.mobilenet_v2 import MobileNetV2
from awn_jax.models.options import Options, StagedOptions
from awn_jax.models.parts import Parts
from awn_jax.models.resnet import ResNet
from awn_jax.models.shufflenet import ShuffleNetV1
from awn_jax.models.sliced_resnext import SlicedResNeXt
from awn_jax.models.unet import UNet
from awn_jax.network import axes, distinct_widths

MODELS: dict[str, type[AnyWidthNetwork] | str] = {
    "fpn": FPN,
    "lenet_3c1l": LeNet3C1L,
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v2": MobileNetV2,
    "resnet": ResNet,
    "shufflenet_v1": ShuffleNetV1,
    "unet": UNet,
    "sliced_resnext": SlicedResNeXt,
}
# What a benchmark takes where none is named: a network, and images that it is made for.
DEFAULT, DEFAULT_IMAGE_SIZE = "lenet_3c1l", (28, 28, 1)


def find(name: str) -> type[AnyWidthNetwork]:
    """The class of a network.

    Args:
        name: of `MODELS`, or `module:Class` for one's own.

    Raises:
        ValueError: if there is none, or it is no `AnyWidthNetwork`.
    """
    found: Any = registry.resolve(name, MODELS, "model.name")
    if not (isinstance(found, type) and issubclass(found, AnyWidthNetwork)):
        raise ValueError(f"model.name must be a subclass of awn_jax.AnyWidthNetwork, got {name!r}")
    return found


__all__ = [
    "DEFAULT",
    "DEFAULT_IMAGE_SIZE",
    "FPN",
    "MODELS",
    "AnyWidthClassifier",
    "AnyWidthNetwork",
    "Exit",
    "LeNet3C1L",
    "MobileNetV1",
    "MobileNetV2",
    "Options",
    "Parts",
    "ResNet",
    "ShuffleNetV1",
    "SlicedResNeXt",
    "StagedOptions",
    "UNet",
    "axes",
    "distinct_widths",
    "exits",
    "find",
]
