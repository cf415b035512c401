"""Block-triangular convolution kernels."""
