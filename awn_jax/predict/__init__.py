"""A trained network that answers with class names: from a workdir, a file, or the package."""

from awn_jax.predict.pictures import PictureError
from awn_jax.predict.trained import Answer, Trained, load

__all__ = ["Answer", "PictureError", "Trained", "load"]
