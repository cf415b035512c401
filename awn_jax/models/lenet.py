"""LeNet-3C1L, the paper's small network."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers import AnyWidthHead, BatchNorm, Conv, TriConv, max_pool
from awn_jax.models.base import AnyWidthClassifier
from kernels import Implementation


class LeNet3C1L(AnyWidthClassifier):
    """Conv 3×3 – BN – ReLU – conv 3×3 – BN – ReLU – pool 2 – conv 5×5 – BN – ReLU – pool 2 – dense; no padding.

    28×28 images end at 4×4 pixels, 32×32 at 5×5. Triangular layers hold about half the weights of ordinary ones, so the
    paper makes them √2 wider than its ordinary network of 32 channels: 45.

    Args:
        image_size: height, width and planes of the images; at least 16 × 16.
        classes: number of classes.
        channels: of each layer, at width 1.
        group, core: channels born together, and width of the narrowest network, see `widths.Axis.of`.
        fan_in: what the initial scale counts, see `layers.init.staircase_uniform`.
        dropout: in front of the head, see `AnyWidthClassifier`.
        dtype: of weights and activations.
        implementation: of the convolutions, see `kernels.triangular_conv`.
        conv: the kind of convolution: `TriConv`, or the ordinary `Conv` of the rivals.
        norm: makes the norm of an axis: `BatchNorm`, or one of `layers.slimmable` with its widths bound.
        rngs: source of the initial weights (stream `params`).

    Raises:
        ValueError: if the images are too small.

    Source: Any-Width Networks (Vu et al., 2020).
    """

    def __init__(
        self,
        image_size: tuple[int, int, int],
        classes: int,
        *,
        channels: int = 45,
        group: int = 1,
        core: widths.Width = 0,
        fan_in: str = "full",
        dropout: float = 0.0,
        dtype: jnp.dtype | type = jnp.float32,
        implementation: Implementation | None = None,
        conv: type[Conv] = TriConv,
        norm: Callable[..., nnx.Module] = BatchNorm,
        rngs: nnx.Rngs,
    ):
        height, width, planes = image_size
        self.image_size = (height, width, planes)
        self.dropout = dropout
        rows, columns = ((((size - 4) // 2) - 4) // 2 for size in (height, width))
        if min(rows, columns) < 1:
            raise ValueError(f"image_size must be at least 16 × 16 pixels for LeNet3C1L, got {height} × {width}")
        axis = widths.Axis.of(channels, group, core)
        options: dict[str, Any] = {
            "padding": "VALID",
            "fan_in": fan_in,
            "dtype": dtype,
            "implementation": implementation,
            "rngs": rngs,
        }
        self.conv1 = conv(widths.Axis.whole(planes), axis, 3, **options)
        self.norm1 = norm(axis, dtype=dtype)
        self.conv2 = conv(axis, axis, 3, **options)
        self.norm2 = norm(axis, dtype=dtype)
        self.conv3 = conv(axis, axis, 5, **options)
        self.norm3 = norm(axis, dtype=dtype)
        self.head = AnyWidthHead(axis, rows * columns, classes, dtype=dtype, rngs=rngs)

    def features(self, x: Float[Array, "B H W P"], width: widths.Width = 1) -> Float[Array, "B h w C"]:
        if x.shape[1:] != self.image_size:
            raise ValueError(f"LeNet3C1L was made for images of {self.image_size}, got a batch of shape {x.shape}")
        x = nnx.relu(self.norm1(self.conv1(x, width), width))
        x = max_pool(nnx.relu(self.norm2(self.conv2(x, width), width)))
        return max_pool(nnx.relu(self.norm3(self.conv3(x, width), width)))
