"""Block-triangular convolution: one op, a backend per platform."""

from kernels.api import IMPLEMENTATIONS, Implementation, triangular_conv, triangular_matmul
from kernels.target import target_platform

__all__ = ["IMPLEMENTATIONS", "Implementation", "target_platform", "triangular_conv", "triangular_matmul"]
