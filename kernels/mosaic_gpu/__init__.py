"""The parts of `kernels.pallas_mosaic_gpu`: tile sizes, schedules, shared memory, and the two Hopper kernels."""
