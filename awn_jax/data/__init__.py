"""Images: where they come from (sources), what is done to them (transforms), in which order they are seen (feeds)."""

from awn_jax.data.checks import MAX_CLASSES, DataError, DataWarning
from awn_jax.data.examples import Examples
from awn_jax.data.feeds import (
    BATCH_AXIS,
    Feed,
    Stream,
    data_mesh,
    make_feed,
    once_through,
    place,
    replicate,
    usual_batch,
)
from awn_jax.data.images import LARGE, ImageSet, in_memory
from awn_jax.data.photographs import Photographs, Records
from awn_jax.data.preparation import Preparation
from awn_jax.data.sources import SOURCES, load
from awn_jax.data.splits import stratified
from awn_jax.data.summary import fingerprint, sample_moments
from awn_jax.data.transforms import TRANSFORMS, UNCHANGED, Transforms, on_host

__all__ = [
    "BATCH_AXIS",
    "LARGE",
    "MAX_CLASSES",
    "SOURCES",
    "TRANSFORMS",
    "UNCHANGED",
    "DataError",
    "DataWarning",
    "Examples",
    "Feed",
    "ImageSet",
    "Photographs",
    "Preparation",
    "Records",
    "Stream",
    "Transforms",
    "data_mesh",
    "fingerprint",
    "in_memory",
    "load",
    "make_feed",
    "on_host",
    "once_through",
    "place",
    "replicate",
    "sample_moments",
    "stratified",
    "usual_batch",
]
