"""What a run is told: config files, their fields, and the methods that change them."""

from awn_jax.config.checks import ConfigError
from awn_jax.config.methods import METHODS, apply
from awn_jax.config.parse import check_same_run, default, load, parse, save, to_dict
from awn_jax.config.schema import (
    Config,
    DataConfig,
    LogConfig,
    ModelConfig,
    TrainConfig,
    WidthsConfig,
    flat,
)
from awn_jax.config.source import changed, locate, read, settle, take_changes
from awn_jax.config.taxonomy import TaxonomyConfig

__all__ = [
    "METHODS",
    "Config",
    "ConfigError",
    "DataConfig",
    "LogConfig",
    "ModelConfig",
    "TaxonomyConfig",
    "TrainConfig",
    "WidthsConfig",
    "apply",
    "changed",
    "check_same_run",
    "default",
    "flat",
    "load",
    "locate",
    "parse",
    "read",
    "save",
    "settle",
    "take_changes",
    "to_dict",
]
