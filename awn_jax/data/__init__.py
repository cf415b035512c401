"""Images: where they come from (sources), what is done to them (augment), in which order they are seen (feed)."""

from awn_jax.data.augment import AUGMENTS, Preparation
from awn_jax.data.checks import MAX_CLASSES, DataError, DataWarning
from awn_jax.data.feed import BATCH_AXIS, Feed, data_mesh, make_feed, once_through, replicate
from awn_jax.data.images import ImageSet
from awn_jax.data.sources import SOURCES, load
from awn_jax.data.summary import fingerprint, sample_moments

__all__ = [
    "AUGMENTS",
    "BATCH_AXIS",
    "MAX_CLASSES",
    "SOURCES",
    "DataError",
    "DataWarning",
    "Feed",
    "ImageSet",
    "Preparation",
    "data_mesh",
    "fingerprint",
    "load",
    "make_feed",
    "once_through",
    "replicate",
    "sample_moments",
]
