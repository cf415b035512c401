"""One class for each image, of a hierarchy: narrow widths are asked for the superclass, wide ones for the class itself.

A network's outputs are logits for both questions: K of the classes, then C of the superclasses.

Dimensions: N widths, B examples of a batch, K classes, C superclasses, O = K + C outputs.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Num, Shaped

from awn_jax import widths
from awn_jax.tasks.classify import Classification, Loss, cross_entropy, named, softmax
from awn_jax.tasks.hierarchy import Hierarchy
from awn_jax.tasks.task import Metric


class Taxonomy(Classification):
    """Which question is asked depends on the width: the loss at a width is that of its question, and moves no logit of the
    other one.

    By itself it is the task at full width, where the classes are asked for; `at` makes that of other widths. The superclass is
    answered at every width: where the classes are asked for, it is the one whose classes have the largest sum of probabilities.

    Args:
        hierarchy: the superclass of each class.
        fine_from: α in (0, 1] from which on the classes are asked for; at or below the narrowest width, they are everywhere.
        loss: see `Classification`; the same one for both questions.
        smoothing: likewise.

    Raises:
        ValueError: if `fine_from` is outside (0, 1].

    Source: Anytime Neural Prediction via Slicing Networks Vertically (Lee & Shin, 2018), the alternative task;
    NestedNet (Kim et al., 2018), the class hierarchy.
    """

    name: ClassVar[str] = "taxonomy"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "coarse": Metric("coarse top-1 %", 100, 2, area=True),
        "coarse_summed": Metric("summed coarse top-1 %", 100, 2, area=True),
        "fine": Metric("fine top-1 %", 100, 2, area=True),
        "loss": Metric("loss", 1, 4),
    }

    def __init__(
        self, hierarchy: Hierarchy, fine_from: widths.Width = 0.5, loss: Loss = cross_entropy, smoothing: float = 0.0
    ):
        super().__init__(loss, smoothing)
        self.hierarchy, self.fine_from = hierarchy, widths.exact_width(fine_from, "fine_from")
        self.turns = (float(self.fine_from),)
        self._fine: Any = np.ones(1, bool)

    def at(self, at: Sequence[Any] | Float[Array, " N"]) -> "Taxonomy":
        bound = copy.copy(self)
        if isinstance(at, jax.Array):
            bound._fine = at >= float(self.fine_from)
        elif any(isinstance(width, jax.Array) for width in at):
            bound._fine = jnp.stack([jnp.asarray(width) for width in at]) >= float(self.fine_from)
        else:
            bound._fine = np.asarray([widths.exact_width(width) >= self.fine_from for width in at])
        return bound

    def outputs(self, classes: int) -> int:
        return classes + len(self.hierarchy.names)

    def losses(self, outputs: Float[Array, "N B O"], targets: Num[Array, "B ..."]) -> Float[Array, "N B"]:
        fine, coarse = self._parts(outputs)
        of_classes = self.loss(fine, self.softened(targets, fine.shape[-1]))
        of_superclasses = self.loss(coarse, self.softened(self._superclasses(targets), coarse.shape[-1]))
        return self._asked(of_classes, of_superclasses)

    def taught(self, outputs: Float[Array, "N B O"], teacher: Float[Array, "B O"]) -> Float[Array, "N B"]:
        """The cross-entropy with a teacher's soft predictions of the classes, or with their sums over superclasses."""
        fine, coarse = self._parts(outputs)
        shares = jax.nn.softmax(lax.stop_gradient(self._parts(teacher)[0]))
        return self._asked(cross_entropy(fine, shares), cross_entropy(coarse, self._superclasses(shares)))

    def scores(self, outputs: Float[Array, "N B O"], targets: Int[Array, " B"]) -> dict[str, Shaped[Array, "N B"]]:
        (fine, coarse), superclasses = self._parts(outputs), self._superclasses(targets)
        summed = (jax.nn.softmax(fine) @ self._members(fine.dtype)).argmax(-1)
        return {
            "coarse": self._asked(summed, coarse.argmax(-1)) == superclasses[None],
            "coarse_summed": summed == superclasses[None],
            "fine": fine.argmax(-1) == targets[None],
            "loss": self._asked(cross_entropy(fine, targets), cross_entropy(coarse, superclasses)),
        }

    def quality(self, outputs: Float[np.ndarray, "N images O"], targets: np.ndarray) -> Float[np.ndarray, "N images"]:
        """Whether the superclass is right."""
        fine, coarse = self._parts(outputs)
        summed = softmax(fine) @ np.asarray(self._members(jnp.float32))
        found = self._asked(summed.argmax(-1), coarse.argmax(-1))
        return (found == np.asarray(self.hierarchy.of)[targets]).astype(np.float64)

    def answers(self, outputs: Float[np.ndarray, "N *B O"], class_names: Sequence[str]) -> Shaped[np.ndarray, "N *B"]:
        fine, coarse = self._parts(outputs)
        classes, superclasses = self._named(class_names)
        return self._asked(classes[fine.argmax(-1)], superclasses[coarse.argmax(-1)])

    def truth(self, targets: Int[np.ndarray, " images"], class_names: Sequence[str]) -> list[str]:
        """Each target in words, as `answers` says it at the widest width."""
        classes, superclasses = self._named(class_names)
        found = classes[targets] if self._fine[-1] else superclasses[np.asarray(self.hierarchy.of)[targets]]
        return found.tolist()

    def choices(
        self, outputs: Float[np.ndarray, "*N O"], class_names: Sequence[str]
    ) -> tuple[Float[np.ndarray, "*N _"], tuple[str, ...]]:
        """Of the classes, or of the superclasses, by what is asked at the widest width."""
        (fine, coarse), names = self._parts(outputs), self._named(class_names)
        found, which = (fine, names[0]) if self._fine[-1] else (coarse, names[1])
        return softmax(found), tuple(which.tolist())

    def confidence(self, outputs: Float[np.ndarray, "N *B O"]) -> Float[np.ndarray, "N *B"]:
        """The largest softmax probability among the answers to the question."""
        fine, coarse = self._parts(outputs)
        return self._asked(softmax(fine).max(-1), softmax(coarse).max(-1))

    def _parts(self, outputs: Any) -> tuple[Any, Any]:
        """The logits of the classes and those of the superclasses."""
        classes, count = len(self.hierarchy.of), len(self.hierarchy.of) + len(self.hierarchy.names)
        if outputs.shape[-1] != count:
            raise ValueError(f"outputs must be {count} logits, of classes and superclasses, got {outputs.shape[-1]}")
        return outputs[..., :classes], outputs[..., classes:]

    def _asked(self, fine: Any, coarse: Any) -> Any:
        """What belongs to the question of each width: values with a leading axis [N], of which one half is taken."""
        which = self._fine.reshape(-1, *(1,) * (fine.ndim - 1))
        if isinstance(fine, np.ndarray):
            return np.where(which, fine, coarse)
        return jnp.where(jnp.broadcast_to(which, fine.shape), fine, coarse)

    def _superclasses(self, targets: Num[Array, "B ..."]) -> Num[Array, "B ..."]:
        """Labels, or shares of the classes, as those of the superclasses."""
        if targets.ndim == 1:
            return jnp.asarray(self.hierarchy.of, jnp.int32)[targets]
        return targets @ self._members(targets.dtype)

    def _members(self, dtype: Any) -> Float[Array, "K C"]:
        """1 where a class belongs to a superclass."""
        return jax.nn.one_hot(jnp.asarray(self.hierarchy.of), len(self.hierarchy.names), dtype=dtype)

    def _named(self, class_names: Sequence[str]) -> tuple[Shaped[np.ndarray, " K"], Shaped[np.ndarray, " C"]]:
        return named(class_names, len(self.hierarchy.of)), np.array(self.hierarchy.names)
