"""The ways of training one network for many widths that are compared here, each as changes to a config.

Sources: Any-Width Networks (Vu et al., 2020) for AWN, its random sampling and the shared-batch-norm control; Slimmable
Neural Networks (Yu et al., 2019) for S-Net; Universally Slimmable Networks (Yu & Huang, 2019) for US-Net; NestedNet (Kim et
al., 2018).
"""

from collections.abc import Callable, Mapping
from typing import Any

import ml_collections
import numpy as np

from awn_jax.config.checks import ConfigError

_FIXED = {"widths.train": "fixed", "widths.total": 0.0}
_RANDOM = {"widths.train": "random", "widths.total": 0.0}
_SEQUENTIAL = {"widths.how": "sequential"}
_US_NET = {**_SEQUENTIAL, **_RANDOM, "model.family": "us_net"}
_SHARED_BN = {**_SEQUENTIAL, **_FIXED, "model.family": "shared_bn"}
_DISTILLED = {"widths.distillation": 0.5}
_WIDE = {"widths.minimum": 0.05}
_ENDS = {"widths.ends": 0.25}


def _minimum(config: ml_collections.ConfigDict) -> float:
    return float(config.widths.minimum)


def _evenly(count: int) -> Callable[[ml_collections.ConfigDict], tuple[float, ...]]:
    """So many widths from the narrowest of interest to 1."""
    return lambda config: tuple(np.linspace(_minimum(config), 1, count).round(6).tolist())


# No network narrower than the minimum is wanted, so the first channels, up to there, need not be a triangle; where it is ¼,
# 1.375 times the published channels then hold about as many weights as √2 times.
_CORE = {**_ENDS, "model.core": _minimum, "model.multiplier": 1.375}
_ADAMW = {"train.optimizer": "adamw", "train.learning_rate": 3e-3, "train.schedule": "cosine"}
_TUNED = {**_ADAMW, "train.weight_decay": 0.3}
_DROPOUT = {**_TUNED, "model.dropout": 0.2}

# New values by field; those that are functions are of the config that they change.
METHODS: dict[str, dict[str, Any]] = {
    # Any-width networks: triangular layers, one batch norm.
    "awn": {},
    "awn_fixed": _FIXED,
    "awn_random": _RANDOM,
    # The rivals: ordinary layers.
    "s_net": {**_SEQUENTIAL, **_FIXED, "model.family": "s_net"},
    "us_net": _US_NET,
    "us_net_distilled": {**_US_NET, "widths.distillation": 1.0},
    "us_net_tuned": {**_US_NET, **_TUNED},
    "us_net_dropout": {**_US_NET, **_DROPOUT},
    "shared_bn": _SHARED_BN,
    # NestedNet: levels of connections; levels of channels, with private norms and with shared ones. All learn from the widest.
    "nested_net": {**_SEQUENTIAL, **_FIXED, **_DISTILLED, "model.family": "nested_net"},
    "nested_net_channels": {**_SEQUENTIAL, **_FIXED, **_DISTILLED, "model.family": "s_net"},
    "nested_net_shared": {**_SHARED_BN, **_DISTILLED},
    # Beyond the paper's recipe: changes to `awn`, then further ones to `awn_core`.
    "awn_ends": _ENDS,
    "awn_distilled": _DISTILLED,
    "awn_visible": {"model.fan_in": "visible"},
    "awn_core": _CORE,
    "awn_adamw": {**_CORE, **_ADAMW},
    "awn_mirrored": {**_CORE, **_ADAMW, "data.augment": "crop_flip", "data.shift": 0},
    "awn_tuned": {**_CORE, **_TUNED},
    "awn_dropout": {**_CORE, **_DROPOUT},
    # For a wider range of widths, narrower ones as well.
    "awn_wide": _WIDE,
    "us_net_wide": {**_US_NET, **_WIDE},
    # Any-width networks of other numbers of trained widths.
    "awn_2": {**_FIXED, "widths.fixed": _evenly(2)},
    "awn_8": {**_FIXED, "widths.fixed": _evenly(8)},
    # Trained at full width alone.
    "awn_full": {**_FIXED, "widths.fixed": (1.0,)},
    "ordinary_full": {**_SHARED_BN, "widths.fixed": (1.0,)},
    # Ordinary networks of one width each, which is their full one: what a fixed cost buys. Named by percent of the published
    # channels.
    **{
        f"single_{percent}": {
            **_SEQUENTIAL,
            **_FIXED,
            "model.family": "single",
            "model.multiplier": percent / 100,
            "widths.fixed": (1.0,),
            "widths.minimum": 1.0,
        }
        for percent in (25, 50, 75, 100)
    },
}


def apply(
    config: ml_collections.ConfigDict, method: str, recipes: Mapping[str, Mapping[str, Any]] | None = None
) -> ml_collections.ConfigDict:
    """Changes a config to that of a method, and returns it.

    Args:
        config: of a network and its data, with the recipe that all methods share.
        method: one of `METHODS`.
        recipes: what else the methods that it names change, for this network alone; also new values by field.

    Raises:
        ConfigError: if there is no such method.

    Example:
        >>> config.apply(config.default("mobilenet_v2"), "s_net", {"s_net": {"train.epochs": 30.0}}).train.epochs
        30.0
    """
    for name in (method, *(recipes or {})):
        check(name)
    return update(update(config, METHODS[method]), (recipes or {}).get(method, {}))


def check(method: str) -> None:
    """Raises ConfigError unless there is such a method."""
    if method not in METHODS:
        raise ConfigError(f"method must be one of {', '.join(METHODS)}, got {method!r}")


def update(config: ml_collections.ConfigDict, changes: Mapping[str, Any]) -> ml_collections.ConfigDict:
    """Sets fields by their dotted names, and returns the config."""
    values = {name: value(config) if callable(value) else value for name, value in changes.items()}
    with config.ignore_type():
        config.update_from_flattened_dict(values)
    return config
