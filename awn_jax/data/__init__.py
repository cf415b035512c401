"""Images: where they come from, how they are augmented, in which order they are seen."""

from awn_jax.data.augment import Preparation
from awn_jax.data.feed import BATCH_AXIS, Feed, data_mesh, make_feed, once_through, replicate
from awn_jax.data.sources import DataError, ImageSet, load

__all__ = [
    "BATCH_AXIS",
    "DataError",
    "Feed",
    "ImageSet",
    "Preparation",
    "data_mesh",
    "load",
    "make_feed",
    "once_through",
    "replicate",
]
