"""Programs for the widths in use, compiled beforehand, so that switching the width never compiles.

Dimensions: B batch, H height, W width, P planes.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import tqdm
from flax import nnx
from jaxtyping import Array, Float

from awn_jax import hardware, widths
from awn_jax.models import AnyWidthNetwork


class CompiledWidths:
    """A network with one compiled program for each width and batch size.

    A program holds the weights of its width, already cut out of the network's: a call passes the images alone.

    Args:
        model: any-width network; run in inference mode, with the weights that it has now.
        at: widths.
        image_size: height, width and planes.
        batch_sizes: numbers of images.
        progress: show a bar on a terminal while compiling.

    Raises:
        ValueError: if a width is outside (0, 1] or a batch size is below 1.

    Example:
        >>> programs = CompiledWidths(model, [0.25, 1.0], (28, 28, 1), [1])
        >>> programs(jnp.zeros((1, 28, 28, 1)), 0.25).shape
        (1, 10)
    """

    def __init__(
        self,
        model: AnyWidthNetwork,
        at: Sequence[widths.Width],
        image_size: tuple[int, int, int],
        batch_sizes: Sequence[int] = (1,),
        *,
        progress: bool = False,
    ):
        for batch in batch_sizes:
            if batch < 1:
                raise ValueError(f"batch_sizes must be at least 1, got {tuple(batch_sizes)}")
        graphdef, weights = nnx.split(model)
        self._programs: dict[tuple[float, int], Any] = {}
        for width in tqdm.tqdm(at, desc="compiling", leave=False, disable=None if progress else True):
            widths.exact_width(width)
            for batch in batch_sizes:
                images = jax.ShapeDtypeStruct((batch, *image_size), jnp.float32)

                def run(x: Array, width: widths.Width = width) -> Array:
                    model = nnx.merge(graphdef, weights)
                    model.eval()
                    return model(x, width)

                run = jax.jit(run, compiler_options=hardware.compiler_options())
                self._programs[float(width), batch] = run.lower(images).compile()

    def __call__(self, x: Float[Array, "B H W P"], width: widths.Width) -> Float[Array, "B ..."]:
        """The outputs at a width.

        Raises:
            ValueError: if no program was made for this width and number of images.
        """
        return self.program(width, len(x))(x)

    def program(self, width: widths.Width, batch: int) -> Any:
        """The compiled program.

        Raises:
            ValueError: if none was made.
        """
        try:
            return self._programs[float(width), batch]
        except KeyError:
            made = sorted(self._programs)
            raise ValueError(
                f"width and batch size must be of a program made before, {made}; got {width}, {batch}"
            ) from None

    def activation_bytes(self, width: widths.Width, batch: int) -> int:
        """The scratch memory of a program, as its compiler has planned it."""
        return int(self.program(width, batch).memory_analysis().temp_size_in_bytes)
