"""Where a parameter stands in a model."""

from typing import Any


def place(path: Any) -> tuple[tuple[Any, ...], Any]:
    """The path of a layer, as `nnx.iter_modules` has it, and the name of the parameter in it.

    Args:
        path: of a leaf of `nnx.state(model, nnx.Param)`, as `jax.tree.map_with_path` gives it.
    """
    *layer, name = (key.key for key in path if hasattr(key, "key"))
    return tuple(layer), name
