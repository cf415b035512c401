"""Block-triangular convolution: one op, a backend per platform."""

from .api import triangular_conv, triangular_matmul
from .backend import IMPLEMENTATIONS, Implementation, UnsupportedError
from .target import target_platform

__all__ = [
    "IMPLEMENTATIONS",
    "Implementation",
    "UnsupportedError",
    "target_platform",
    "triangular_conv",
    "triangular_matmul",
]
