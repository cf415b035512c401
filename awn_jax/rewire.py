"""Running a model's own code with other layers in it."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from flax import nnx

Model = TypeVar("Model", bound=nnx.Module)
Replacement = Callable[[str, nnx.Module], Any]


def with_layers(model: Model, replacement: Replacement) -> Model:
    """A copy of a model in which some layers are other callables; the model's code calls them as it called the layers.

    The copy shares the weights. A layer that is used in several places is replaced by one callable.

    Args:
        model: left as it is.
        replacement: given a layer's dotted name and the layer, what to put in its place; None keeps it. What is inside a
            replaced layer is not visited. The model itself is not replaced.
    """
    rewired: dict[int, Any] = {}

    def copied(path: tuple[str, ...], module: Any) -> Any:
        if id(module) not in rewired:
            new = replacement(".".join(path), module) if path else None
            rewired[id(module)] = copy.copy(module) if new is None else new
            if new is None:
                for name, value in _children(module):
                    _set(rewired[id(module)], name, copied((*path, name), value))
        return rewired[id(module)]

    return copied((), model)


def watched(model: Model, name: str, see: Callable[[Any], None]) -> Model:
    """A copy of a model that shows to `see` what the layer of a dotted name reads, at every call of it."""

    def replacement(path: str, layer: Any) -> Any:
        if path != name:
            return None

        def call(x: Any, *rest: Any) -> Any:
            see(x)
            return layer(x, *rest)

        return call

    return with_layers(model, replacement)


def _children(module: nnx.Module) -> list[tuple[str, nnx.Module]]:
    return [(name, value) for name, value in vars(module).items() if isinstance(value, nnx.Module)]


def _set(module: nnx.Module, name: str, value: Any) -> None:
    # The items of an nnx.List are attributes named by their position, to be set as items.
    if isinstance(module, nnx.List):
        module[int(name)] = value
    else:
        setattr(module, name, value)
