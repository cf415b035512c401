"""Convolutions with few outputs, as a step between two widths has.

A convolution's time on a CPU is its products and the gathering of its inputs into patches. Ten outputs are too few for
their products to pay for the patches, and every step of a ladder would gather all inputs again. Here the kernel's columns
are taken apart: a kernel of one column and `kw` times the outputs, whose results are added up, each shifted by its column.
The patches are `kw` times smaller, for sums over as many outputs. They are gathered fastest where the inputs are a multiple
of eight, so that zeros fill them up.

Dimensions: B batch, H height, W width, C inputs, K outputs.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from awn_jax import widths
from awn_jax.layers import TriConv
from awn_jax.layers.triangular import Triangular

# Measured with LeNet-3C1L on two CPU cores: below, the steps of a ladder are faster so; first layers have nothing to gather.
MOST_OUTPUTS, LEAST_INPUTS = 16, 5
LANES = 8


def suits(layer: Triangular, width: widths.Width, after: widths.Width | None) -> bool:
    """Whether the outputs born between two widths are better computed by columns."""
    # A start has few inputs as well, and less to gather than to rearrange.
    if not isinstance(layer, TriConv) or after is None:
        return False
    few = (
        0 < layer.outputs.active(width) - layer.outputs.active(after) <= MOST_OUTPUTS
        and layer.inputs.active(width) >= LEAST_INPUTS
    )
    plain = layer.strides in (1, (1, 1)) and layer.kernel.shape[1] > 1 and layer.implementation is None
    return few and plain and jax.default_backend() == "cpu"


def padded(channels: int) -> int:
    """How many channels the inputs of `rows` should have, zeros at their end."""
    return -(-channels // LANES) * LANES


def rows(
    layer: TriConv, x: Float[Array, "B H W C"], width: widths.Width, after: widths.Width
) -> Float[Array, "B h w K"]:
    """The outputs of a convolution that a width has and a narrower one, `after`, has not.

    Args:
        layer: of stride 1.
        x: inputs with all channels that are active at `width`, and then any number of zeros.
        width: the wider one, static.
        after: the narrower one, static.
    """
    kernel, visible, bias = layer.sliced(x[..., : layer.inputs.active(width)], width, after)
    kh, kw, reads, writes = kernel.shape
    exists = jnp.arange(reads)[:, None] < jnp.asarray(visible)
    columns = jnp.where(exists, kernel, 0).transpose(0, 2, 1, 3).reshape(kh, 1, reads, kw * writes)
    columns = jnp.pad(columns, ((0, 0), (0, 0), (0, x.shape[-1] - reads), (0, 0)))
    down, across = lax.padtype_to_pads(x.shape[1:3], (kh, kw), (1, 1), layer.padding)
    x = jnp.pad(x, ((0, 0), down, across, (0, 0)))
    parts = lax.conv_general_dilated(x, columns, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    parts = parts.reshape(*parts.shape[:3], kw, writes)
    positions = x.shape[2] - kw + 1
    y = sum(parts[:, :, q : q + positions, q] for q in range(1, kw)) + parts[:, :, :positions, 0]
    return y if bias is None else y + bias
