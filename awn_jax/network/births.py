"""The axes of a model's layers, and the sub-networks that they give."""

from flax import nnx

from awn_jax import widths


def axes(model: nnx.Module) -> tuple[widths.Axis, ...]:
    """All axes that the layers of a model name, each once."""
    found: dict[widths.Axis, None] = {}
    for _, module in nnx.iter_modules(model):
        for value in vars(module).values():
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, widths.Axis):
                    found[item] = None
    return tuple(found)


def distinct_widths(model: nnx.Module, minimum: widths.Width = 0.25) -> tuple[float, ...]:
    """One width for each distinct sub-network of a model in [minimum, 1], see `widths.distinct_widths`."""
    return widths.distinct_widths(axes(model), minimum)
