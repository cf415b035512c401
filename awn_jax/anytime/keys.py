"""Structures of models as keys of a cache, also of a model that keeps a list or a dict, which Python cannot hash."""

import dataclasses
from typing import Any


class StructureKey:
    """Equal for models of one structure.

    Args:
        graphdef: of a model.
        tree: of its state.
        facts: shape and type of each array in it.

    Attributes:
        graphdef: what a later change of a list in the model does not reach.
    """

    def __init__(self, graphdef: Any, tree: Any, facts: tuple[Any, ...]):
        self.graphdef, self.tree, self.facts = graphdef, tree, facts
        self._key: Any = graphdef, tree, facts
        try:
            self._hash = hash(self._key)
        except TypeError:
            attributes = [(name, _copied(kind)) for name, kind in graphdef.attributes]
            self.graphdef = dataclasses.replace(graphdef, attributes=attributes)
            self._key = _frozen((graphdef.nodes, attributes)), tree, facts
            self._hash = hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StructureKey) and self._hash == other._hash and self._key == other._key


def _copied(value: Any) -> Any:
    """A value with containers of its own."""
    if dataclasses.is_dataclass(value) and hasattr(value, "value"):  # what Flax wraps plain attributes in
        return dataclasses.replace(value, value=_copied(value.value))  # type: ignore[type-var]
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(map(_copied, value))
    return value


def _frozen(value: Any) -> Any:
    """What can be hashed in place of a value, and differs where its contents do."""
    try:
        hash(value)
        return value
    except TypeError:
        pass
    if hasattr(value, "value"):
        return type(value), _frozen(value.value)
    if type(value) is dict:
        return dict, tuple((key, _frozen(item)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value), tuple(map(_frozen, value))
    if type(value) is set:
        return set, frozenset(value)
    return _Same(value)


class _Same:
    """A value that equals itself alone."""

    def __init__(self, value: Any):
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value
