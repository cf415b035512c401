"""One class for each image.

Dimensions: N widths, B examples of a batch, K classes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Num, Shaped

from awn_jax.tasks.task import Metric, Task

Loss = Callable[[Float[Array, "N B K"], Num[Array, "B ..."]], Float[Array, "N B"]]
Totals = dict[str, Float[Array | np.ndarray, "..."]]


def cross_entropy(logits: Float[Array, "N B K"], labels: Num[Array, "B ..."]) -> Float[Array, "N B"]:
    """The cross-entropy of every example.

    Args:
        logits: at N widths.
        labels: whole numbers [B], or shares of the classes [B, K]: smoothed, mixed or soft labels.
    """
    if labels.ndim == 2:
        return optax.softmax_cross_entropy(logits, jnp.broadcast_to(labels, logits.shape))
    return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.broadcast_to(labels, logits.shape[:-1]))


def smoothed(labels: Num[Array, "B ..."], classes: int, share: float) -> Float[Array, "B K"]:
    """Shares of the classes, of which a part is the same for all.

    Args:
        labels: whole numbers [B], or shares of the classes [B, K].
        classes: K.
        share: of the part, in [0, 1).
    """
    if labels.ndim == 1:
        labels = jax.nn.one_hot(labels, classes)
    return (1 - share) * labels + share / classes


# What a config may ask for besides `module:function`.
LOSSES: dict[str, Loss | str] = {"cross_entropy": cross_entropy}


class Classification(Task):
    """Labels are whole numbers; the outputs of a network are logits.

    Args:
        loss: of logits and labels; what is reported as the loss of a test is the cross-entropy, whatever is trained with.
        smoothing: share of each training label that all classes get in equal parts, in [0, 1); the loss then gets shares of
            the classes [B, K].

    Source: of the smoothing, Rethinking the Inception Architecture (Szegedy et al., 2016).
    """

    name: ClassVar[str] = "classify"
    metrics: ClassVar[Mapping[str, Metric]] = {"top1": Metric("top-1 %", 100, 2), "loss": Metric("loss", 1, 4)}

    def __init__(self, loss: Loss = cross_entropy, smoothing: float = 0.0):
        self.loss, self.smoothing = loss, smoothing

    def targets(self, examples: Mapping[str, Any]) -> Any:
        return examples["label"]

    def losses(self, outputs: Float[Array, "N B K"], targets: Num[Array, "B ..."]) -> Float[Array, "N B"]:
        return self.loss(outputs, self.softened(targets, outputs.shape[-1]))

    def softened(self, targets: Num[Array, "B ..."], classes: int) -> Num[Array, "B ..."]:
        """Training labels, smoothed if the task does so."""
        return smoothed(targets, classes, self.smoothing) if self.smoothing else targets

    def taught(self, outputs: Float[Array, "N B K"], teacher: Float[Array, "B K"]) -> Float[Array, "N B"]:
        """The cross-entropy with a teacher's soft predictions.

        Source: Universally Slimmable Networks (Yu & Huang, 2019), in-place distillation.
        """
        return cross_entropy(outputs, jax.nn.softmax(lax.stop_gradient(teacher)))

    def start(self, count: int) -> Totals:
        totals: Totals = {name: jnp.zeros(count) for name in self.metrics}
        return {**totals, "images": jnp.zeros(())}

    def update(
        self, totals: Totals, outputs: Float[Array, "N B _"], targets: Num[Array, " B"], counted: Bool[Array, " B"]
    ) -> Totals:
        added: Totals = {"images": counted.sum(dtype=totals["images"].dtype)}
        for name, values in self.scores(outputs, targets).items():
            added[name] = jnp.where(counted[None], values.astype(totals[name].dtype), 0).sum(-1)
        return {name: totals[name] + added[name] for name in totals}

    def scores(self, outputs: Float[Array, "N B K"], targets: Num[Array, " B"]) -> dict[str, Shaped[Array, "N B"]]:
        """What each example adds to each metric, by name; the metrics are their means."""
        return {"top1": outputs.argmax(-1) == targets[None], "loss": cross_entropy(outputs, targets)}

    def finish(self, totals: Totals, tallies: Sequence[Any] = ()) -> dict[str, Float[np.ndarray, " N"]]:
        images = float(totals["images"])
        return {name: np.asarray(totals[name], np.float64) / images for name in self.metrics}

    def quality(self, outputs: Float[np.ndarray, "N images K"], targets: np.ndarray) -> Float[np.ndarray, "N images"]:
        return (outputs.argmax(-1) == targets).astype(np.float64)

    def answers(self, outputs: Float[np.ndarray, "*N K"], class_names: Sequence[str]) -> Shaped[np.ndarray, "*N"]:
        return named(class_names, outputs.shape[-1])[outputs.argmax(-1)]

    def truth(self, targets: Int[np.ndarray, " images"], class_names: Sequence[str]) -> list[str]:
        return named(class_names, int(targets.max()) + 1)[targets].tolist()

    def choices(
        self, outputs: Float[np.ndarray, "*N K"], class_names: Sequence[str]
    ) -> tuple[Float[np.ndarray, "*N K"], tuple[str, ...]]:
        """The probability of each answer that there is: the softmax of the logits; and the answers' names."""
        return softmax(outputs), tuple(named(class_names, outputs.shape[-1]).tolist())

    def confidence(self, outputs: Float[np.ndarray, "*N K"]) -> Float[np.ndarray, "*N"]:
        """The largest softmax probability."""
        return 1 / np.exp(outputs - outputs.max(-1, keepdims=True)).sum(-1)


def softmax(logits: Float[np.ndarray, "*N K"]) -> Float[np.ndarray, "*N K"]:
    """The probabilities that logits stand for."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(-1, keepdims=True)
    return shares


def named(class_names: Sequence[str], count: int) -> Shaped[np.ndarray, " K"]:
    """The names of classes; their numbers where there are none."""
    return np.array(list(class_names) or [str(number) for number in range(count)])
