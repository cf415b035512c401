"""`pallas_mosaic_gpu`: implicit matrix products for Hopper GPUs, in Pallas Mosaic GPU. docs/kernels_gpu.md draws them."""
