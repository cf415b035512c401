"""A trained network that answers with class names: from a workdir, a file, or the package."""

from awn_jax.predict.classifier import Answer, Classifier, load
from awn_jax.predict.pictures import PictureError

__all__ = ["Answer", "Classifier", "PictureError", "load"]
