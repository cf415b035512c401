"""Sizes of a convolution: its static arguments, and what follows from them."""

Strides = tuple[int, int]
Padding = tuple[tuple[int, int], tuple[int, int]]

DIMENSIONS = ("NHWC", "HWIO", "NHWC")  # of x, w and y
UNPADDED: Padding = ((0, 0), (0, 0))


def out_size(size: tuple[int, ...], kernel: tuple[int, ...], strides: Strides, padding: Padding) -> tuple[int, int]:
    """Returns how many rows and columns of windows fit into an image.

    Args:
      size: rows and columns of the image.
      kernel: (kh, kw).
      strides: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).
    """
    height, width = (
        (pixels + low + high - taps) // stride + 1
        for pixels, taps, stride, (low, high) in zip(size, kernel, strides, padding, strict=True)
    )
    return height, width


def is_pointwise(kernel: tuple[int, ...], strides: Strides, padding: Padding) -> bool:
    """Whether each output pixel reads one input pixel, its own, so that an image is only a list of pixels."""
    return kernel == (1, 1) and strides == (1, 1) and padding == UNPADDED


def round_up(size: int, multiple: int) -> int:
    """Returns the smallest multiple that holds `size`."""
    return -(-size // multiple) * multiple
