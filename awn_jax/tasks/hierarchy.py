"""Which superclass each class belongs to: given in numbers, by a file, or known for a set."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Hierarchy:
    """The superclass of every class.

    Attributes:
        of: [K], the number of each class's superclass, in [0, C).
        names: [C], one for each superclass.

    Raises:
        ValueError: if a class has no superclass, or a superclass no class.
    """

    of: tuple[int, ...]
    names: tuple[str, ...]

    def __post_init__(self):
        for number, group in enumerate(self.of):
            if not 0 <= group < len(self.names):
                raise ValueError(f"superclass of class {number} must be in [0, {len(self.names)}), got {group}")
        if missing := sorted(set(range(len(self.names))) - set(self.of)):
            raise ValueError(f"every superclass must have a class, {self.names[missing[0]]!r} has none")

    @classmethod
    def numbered(cls, of: Sequence[int], names: Sequence[str], classes: int) -> "Hierarchy":
        """One from numbers.

        Args:
            of: the superclass of each class, counted from 0.
            names: of the superclasses; their numbers if empty.
            classes: K.

        Raises:
            ValueError: if `of` does not have one number in range for every class.
        """
        if len(of) != classes:
            raise ValueError(f"superclasses must be one for each of {classes} classes, got {len(of)}")
        return cls(tuple(of), tuple(names) or tuple(map(str, range(max(of) + 1))))

    @classmethod
    def grouped(cls, groups: Mapping[str, Sequence[str]], class_names: Sequence[str]) -> "Hierarchy":
        """One from the names of the classes of each superclass.

        Args:
            groups: class names, by the name of their superclass.
            class_names: of all classes, by number.

        Raises:
            ValueError: if a class is in no group or in two, or a name is that of no class.
        """
        of: dict[str, int] = {}
        for number, (group, members) in enumerate(groups.items()):
            for name in members:
                if name not in class_names:
                    raise ValueError(f"classes of superclass {group!r} must be among the set's, got {name!r}")
                if name in of:
                    raise ValueError(f"class {name!r} must be in one superclass, it is in {group!r} and an earlier one")
                of[name] = number
        if missing := [name for name in class_names if name not in of]:
            raise ValueError(f"every class must have a superclass, {missing[0]!r} has none")
        return cls(tuple(of[name] for name in class_names), tuple(groups))

    @classmethod
    def read(cls, path: pathlib.Path, class_names: Sequence[str]) -> "Hierarchy":
        """One from a JSON file, an object with a list of class names for each superclass.

        Raises:
            ValueError: if the file is not there or holds something else; and as for `grouped`.
        """
        try:
            groups: Any = json.loads(path.expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} must be a JSON file, it cannot be read: {error}") from error
        if not isinstance(groups, dict) or not all(
            isinstance(members, list) and all(isinstance(name, str) for name in members) for members in groups.values()
        ):
            raise ValueError(f"{path} must hold an object with a list of class names for each superclass")
        return cls.grouped(groups, class_names)


# By the name of a set that does not say itself how its classes belong together.
HIERARCHIES: dict[str, dict[str, tuple[str, ...]]] = {
    "fashion_mnist": {
        "tops": ("T-shirt/top", "Pullover", "Coat", "Shirt"),
        "trousers": ("Trouser",),
        "dresses": ("Dress",),
        "shoes": ("Sandal", "Sneaker", "Ankle boot"),
        "bags": ("Bag",),
    },
    # By the strokes that they are written with.
    "digits": {"closed loops": ("0", "6", "8", "9"), "straight lines": ("1", "4", "7"), "open curves": ("2", "3", "5")},
}
