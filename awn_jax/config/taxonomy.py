"""The section of a config for the task `taxonomy`."""

import dataclasses

from awn_jax import widths
from awn_jax.config.checks import ConfigError, require


@dataclasses.dataclass(frozen=True)
class TaxonomyConfig:
    """Of the task `taxonomy`: which question is asked at which width.

    Attributes:
        fine_from: α from which on the class is asked for, below it its superclass; at or below `widths.minimum`, the class is
            asked for at every width.
        map: a JSON file, an object with a list of class names for each superclass; empty for what the images say themselves
            (`coarse_label` of a TFDS set), or what `tasks.HIERARCHIES` has for them.
        groups: the number of each class's superclass, from 0; in place of `map`.
    """

    fine_from: float = 0.5
    map: str = ""
    groups: tuple[int, ...] = ()

    def __post_init__(self):
        try:
            widths.exact_width(self.fine_from, "taxonomy.fine_from")
        except ValueError as error:
            raise ConfigError(str(error)) from None
        require(not (self.map and self.groups), f"taxonomy.map must be empty where groups are given, got {self.map!r}")
        require(all(g >= 0 for g in self.groups), f"taxonomy.groups must be 0 or more, got {self.groups}")
