"""Which implementation runs where none is named. How it cuts a layer into blocks is its own `config`."""

from .backend import Implementation

WIDE = 1024  # channels; from there on, blocks of the staircase fill a TPU's matrix unit


def implementation(platform: str, w_shape: tuple[int, ...]) -> Implementation:
    """Returns the implementation to use where none is named.

    Args:
      platform: "cpu", "gpu" or "tpu".
      w_shape: [kh, kw, C, K].

    Returns:
      On a CPU, the staircase, which was measured to be fastest. On a TPU, the staircase where its blocks fill the
      matrix unit. Elsewhere the masked dense convolution. An accelerator's own kernels are taken by name, until they have
      been measured there.
    """
    fills_a_tpu = platform == "tpu" and min(w_shape[2:]) >= WIDE
    return "xla_staircase" if platform == "cpu" or fills_a_tpu else "reference"
