"""Weights from elsewhere: an ordinary network's, from PyTorch or safetensors, into the ordinary family of the same model."""

from awn_jax.convert.fill import Report, fill
from awn_jax.convert.names import names_of
from awn_jax.convert.reading import ConvertError, read

__all__ = ["ConvertError", "Report", "fill", "names_of", "read"]
