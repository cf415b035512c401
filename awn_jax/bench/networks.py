"""The larger networks that are measured, √2 wider than published, on images of CIFAR's size."""

from collections.abc import Mapping
from typing import Any

from awn_jax import config as configs

IMAGE_SIZE, CLASSES = (32, 32, 3), 10
BATCH_SIZE, SWEEP_BATCH = 32, 100
_COMMON = {"model.grid": "32", "model.form": "cifar", "train.batch_size": str(BATCH_SIZE)}
# The model of each, and the fields in which its config differs from the default one.
NETWORKS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "mobilenet_v2": ("mobilenet_v2", _COMMON),
    "resnet18": ("resnet", {**_COMMON, "model.depth": "18"}),
}


def config(name: str) -> Any:
    """The config of one of `NETWORKS`."""
    model, changes = NETWORKS[name]
    return configs.parse(configs.changed(configs.default(model), changes))
