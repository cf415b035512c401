"""2-D convolutions: triangular, whose first outputs never look at later inputs, and ordinary ones for comparison.

Dimensions: B batch, H height, W width in pixels, C input channels, K output channels.
"""

import jax.numpy as jnp
from awn_kernels import Implementation, triangular_conv
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers.functional import per_channel
from awn_jax.layers.op import Ordinary
from awn_jax.layers.sliced import Sliced, Triangular
from awn_jax.layers.window import Padding, pads, pair


class Conv(Sliced):
    """An ordinary 2-D convolution that runs with its first channels: every active output reads every active input.

    What an output computes changes with the width, so the layers of a network made of it need a norm of their own for each
    width: see `SwitchableBatchNorm` and `CalibratedBatchNorm`. For comparison; `TriConv` is the one to use.

    Args:
        inputs: input axis, or its number of channels.
        outputs: output axis, or its number of channels.
        kernel_size: rows and columns, or one number for both.
        strides: rows and columns, or one number for both.
        padding: `SAME`, `VALID`, a number of pixels on every side, or ((top, bottom), (left, right)).
        kernel_dilation: steps between taps in rows and columns, or one number for both.
        use_bias: a bias for each output channel. Useless in front of a batch norm, so off.
        fan_in: what the initial scale counts, see `init.staircase_uniform`.
        dtype: of the weights; the input is converted to it.
        implementation: of the kernel; None takes the fastest on this platform, see `awn_kernels.triangular_conv`.
        rngs: source of the initial weights (stream `params`).

    Raises:
        ValueError: if a size, stride, dilation or padding makes no sense.

    Source: Slimmable Neural Networks (Yu et al., 2019).
    """

    def __init__(
        self,
        inputs: int | widths.Axis,
        outputs: int | widths.Axis,
        kernel_size: int | tuple[int, int],
        *,
        strides: int | tuple[int, int] = 1,
        padding: Padding = "SAME",
        kernel_dilation: int | tuple[int, int] = 1,
        use_bias: bool = False,
        fan_in: str = "full",
        dtype: jnp.dtype | type = jnp.float32,
        implementation: Implementation | None = None,
        rngs: nnx.Rngs,
    ):
        self.kernel_size = pair(kernel_size, "kernel_size")
        super().__init__(inputs, outputs, self.kernel_size, use_bias=use_bias, fan_in=fan_in, dtype=dtype, rngs=rngs)
        self.strides, self.kernel_dilation = pair(strides, "strides"), pair(kernel_dilation, "kernel_dilation")
        self.padding = pads(padding)
        self.implementation = implementation

    def product(
        self, x: Float[Array, "B H W C"], kernel: Array, visible: tuple[int, ...], bias: Array | None
    ) -> Float[Array, "B h w K"]:
        y = triangular_conv(
            x,
            _dilated(kernel, self.kernel_dilation),
            visible,
            strides=self.strides,
            padding=self.padding,
            implementation=self.implementation,
        )
        return y if bias is None else y + per_channel(bias, y)

    def ordinary(self, width: widths.Width, *shapes: tuple[int, ...]) -> Ordinary:
        spread = tuple((size - 1) * step + 1 for size, step in zip(self.kernel_size, self.kernel_dilation, strict=True))
        sides: Any = self.padding
        if isinstance(sides, str):
            sides = lax.padtype_to_pads(shapes[0][:2], spread, self.strides, sides)
        settings = {
            "strides": self.strides,
            "padding": tuple((int(low), int(high)) for low, high in sides),
            "dilation": self.kernel_dilation,
        }
        return Ordinary("conv", self.at_width(width), settings)


class TriConv(Triangular, Conv):
    """A 2-D convolution whose outputs read only input channels born no later than themselves.

    At a width, the slice of the weights is taken when the program is traced: a compiled program holds nothing else. A first
    layer reads every plane of an image: give `Axis.whole(planes)` as inputs. Arguments and errors are those of `Conv`.

    Example:
        >>> conv = TriConv(32, 64, 3, rngs=nnx.Rngs(0))
        >>> conv(jnp.ones((8, 28, 28, 16)), width=0.5).shape
        (8, 28, 28, 32)

    Source: Any-Width Networks (Vu et al., 2020).
    """


def _dilated(kernel: Array, dilation: tuple[int, int]) -> Array:
    """The kernel with zeros between its taps; the multiply-accumulates with those zeros are not counted as cost."""
    if dilation == (1, 1):
        return kernel
    interior = [(0, 0, step - 1) for step in dilation]
    return lax.pad(kernel, jnp.zeros((), kernel.dtype), [*interior, (0, 0, 0), (0, 0, 0)])
