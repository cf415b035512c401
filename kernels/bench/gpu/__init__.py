"""Everything to be measured on a Hopper GPU, in one command: `python -m kernels.bench.gpu`."""
