"""Benchmarks of the kernels: `python -m kernels.bench` in a checkout, `python -m awn_kernels.bench` once installed.

What each command measures or counts:

    bench             layers of real networks, in float32, on this machine
    bench.train       whole training steps, and their losses
    bench.roofline    what limits each layer on a TPU; counted, nothing runs
    bench.tpu         the TPU kernels, compiled for v5e and v6e without a TPU
    bench.gpu         the Hopper kernels: checked, tuned and measured on the GPU that they need
"""
