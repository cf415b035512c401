"""A copy of a model that tells when its modules are called.

The copy is private, so that nothing that others use is changed while one thread looks: each of its modules gets a subclass of
its own class in which `__call__` tells first.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

# (dotted path, module, its own `__call__`, arguments) -> what the call gives
Teller = Callable[[str, nnx.Module, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def telling(graphdef: Any, state: Any, tell: Teller) -> Any:
    """A model whose modules call through a teller; the model itself does so too, with an empty path.

    Args:
        graphdef: of the model, from `nnx.split`.
        state: likewise; its arrays may be tracers.
        tell: calls the module's own `__call__`, and may look at what goes in and comes out.
    """
    model = nnx.merge(graphdef, state, copy=True)
    for path, module in list(nnx.iter_modules(model)):
        if callable(module):
            object.__setattr__(module, "__class__", _subclass(type(module)))
            object.__setattr__(module, _TELLER, functools.partial(tell, ".".join(map(str, path))))
    return model


def modules(model: nnx.Module) -> dict[str, nnx.Module]:
    """All modules of a model by dotted path; the model itself has an empty one. A shared module is listed once."""
    return {".".join(map(str, path)): module for path, module in nnx.iter_modules(model)}


def names(model: nnx.Module) -> dict[int, str]:
    """The dotted path of each module of a model, by the module's `id`."""
    return {id(module): name for name, module in modules(model).items()}


_TELLER = "_awn_teller"


@functools.cache
def _subclass(kind: type) -> type:
    own = kind.__call__

    def call(self: nnx.Module, *args: Any, **kwargs: Any) -> Any:
        return vars(self)[_TELLER](self, functools.partial(own, self), args, kwargs)

    return type(kind.__name__, (kind,), {"__call__": call, "__module__": kind.__module__})


def in_scope(
    path: str, module: nnx.Module, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A teller that writes the module's name into the program: see `scope_of`."""
    with jax.named_scope(f"awn[{path}|{type(module).__name__}]"):
        return call(*args, **kwargs)


def scope_of(name_stack: str) -> str:
    """The innermost module that a piece of a program was written by, such as `blocks.0.mixer (LayerNorm)`; or nothing."""
    _, found, rest = name_stack.rpartition("awn[")
    path, _, kind = rest.partition("]")[0].partition("|")
    return (f"{path} ({kind})" if path else kind) if found else ""
