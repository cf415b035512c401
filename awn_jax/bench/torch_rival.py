"""The step that the paper's code makes, in PyTorch: its small network of three convolutions, four widths, a pass for each."""

from collections.abc import Callable

import numpy as np

from awn_jax import widths

CLASSES = 10


def make_torch_step(batch_size: int, channels: int, threads: int) -> Callable[[], None]:
    """The same work in PyTorch as one would write it there: masked dense convolutions, a pass for each of four widths.

    Raises:
        ModuleNotFoundError: if PyTorch is not installed.
    """
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    draw = torch.Generator().manual_seed(0)
    axis = widths.Axis.of(channels)

    def weights(*shape: int) -> torch.Tensor:
        bound = float(np.prod(shape[1:])) ** -0.5
        return (torch.rand(shape, generator=draw) * 2 - 1).mul_(bound).requires_grad_()

    sizes = ((1, 3), (channels, 3), (channels, 5))
    kernels = [weights(channels, inputs, size, size) for inputs, size in sizes]
    scales = [torch.ones(channels, requires_grad=True) for _ in sizes]
    shifts = [torch.zeros(channels, requires_grad=True) for _ in sizes]
    running = [(torch.zeros(channels), torch.ones(channels)) for _ in sizes]
    dense, bias = weights(CLASSES, channels * 16), torch.zeros(CLASSES, requires_grad=True)
    triangle = torch.tril(torch.ones(channels, channels))[:, :, None, None]
    optimizer = torch.optim.SGD([*kernels, *scales, *shifts, dense, bias], lr=0.01, momentum=0.9)
    images = torch.randn((batch_size, 1, 28, 28), generator=draw)
    labels = torch.randint(0, CLASSES, (batch_size,), generator=draw)

    def forward(k: int) -> torch.Tensor:
        x = images
        for layer, (inputs, _) in enumerate(sizes):
            kernel = kernels[layer] * triangle if inputs > 1 else kernels[layer]
            x = F.conv2d(x, kernel[:k, : min(k, inputs)])
            mean, var = (value[:k] for value in running[layer])
            x = F.relu(F.batch_norm(x, mean, var, scales[layer][:k], shifts[layer][:k], training=True))
            x = F.max_pool2d(x, 2) if layer else x
        return F.linear(x.flatten(1), dense[:, : 16 * k], bias)

    def step() -> None:
        optimizer.zero_grad()
        for width in (0.25, 0.5, 0.75, 1.0):
            F.cross_entropy(forward(axis.active(width)), labels).backward()
        optimizer.step()

    return step
