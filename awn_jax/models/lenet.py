"""LeNet-3C1L, the paper's small network."""

import dataclasses
from typing import Any

from awn_kernels import Implementation
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import families, widths
from awn_jax.layers import max_pool, relu
from awn_jax.models.base import AnyWidthClassifier
from awn_jax.models.options import Options, changed
from awn_jax.models.parts import Parts


@dataclasses.dataclass(frozen=True)
class LeNetOptions(Options):
    """Those of every model, and

    Attributes:
        channels: of each layer at full width; 0 for the published 32 times the multiplier (45 for triangular networks).
    """

    channels: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.channels < 0:
            raise ValueError(f"channels must be 0 or more, got {self.channels}")


class LeNet3C1L(AnyWidthClassifier):
    """Conv 3×3 – BN – ReLU – conv 3×3 – BN – ReLU – pool 2 – conv 5×5 – BN – ReLU – pool 2 – dense; no padding.

    28×28 images end at 4×4 pixels, 32×32 at 5×5. Triangular layers hold about half the weights of ordinary ones, so the
    paper makes them √2 wider than its ordinary network of 32 channels: 45.

    Args:
        image_size: height, width and planes of the images; at least 16 × 16.
        classes: number of classes.
        options: see `LeNetOptions`; single ones can be given by name, as `channels=8`.
        family: None for the one that the options name.
        implementation: of the convolutions, see `awn_kernels.triangular_conv`.
        rngs: source of the initial weights (stream `params`).

    Raises:
        ValueError: if the images are too small.

    Source: Any-Width Networks (Vu et al., 2020).
    """

    Options = LeNetOptions

    def __init__(
        self,
        image_size: tuple[int, int, int],
        classes: int,
        options: LeNetOptions | None = None,
        *,
        family: families.Family | None = None,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
        **named: Any,
    ):
        options = changed(options or LeNetOptions(), named)
        make = Parts(options, family=family, implementation=implementation, rngs=rngs)
        height, width, planes = image_size
        self.image_size, self.dropout = (height, width, planes), options.dropout
        rows, columns = ((((size - 4) // 2) - 4) // 2 for size in (height, width))
        if min(rows, columns) < 1:
            raise ValueError(f"image_size must be at least 16 × 16 pixels for LeNet3C1L, got {height} × {width}")
        axis = make.axis(options.channels or make.channels(32))
        self.conv1 = make.conv(widths.Axis.whole(planes), axis, 3, padding="VALID")
        self.norm1 = make.norm(axis)
        self.conv2 = make.conv(axis, axis, 3, padding="VALID")
        self.norm2 = make.norm(axis)
        self.conv3 = make.conv(axis, axis, 5, padding="VALID")
        self.norm3 = make.norm(axis)
        self.head = make.head(axis, rows * columns, classes)

    def features(self, x: Float[Array, "B H W P"], width: widths.AnyWidth = 1) -> Float[Array, "B h w C"]:
        if x.shape[1:] != self.image_size:
            raise ValueError(f"LeNet3C1L was made for images of {self.image_size}, got a batch of shape {x.shape}")
        x = relu(self.norm1(self.conv1(x, width), width))
        x = max_pool(relu(self.norm2(self.conv2(x, width), width)))
        return max_pool(relu(self.norm3(self.conv3(x, width), width)))
