"""Answers within a time, or as soon as they are sure.

Dimensions: B batch, H height, W width, P planes.
"""

import collections
import dataclasses
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from awn_jax import widths
from awn_jax.anytime import network
from awn_jax.layers.head import check_ascending
from awn_jax.models import AnyWidthClassifier

LADDER = (0.25, 0.5, 0.75, 1.0)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What `Predictor.predict` found.

    Attributes:
        logits: [B, classes].
        width: [B], α that each image's logits belong to.
        macs: [B], multiply-accumulates spent on each image.
        seconds: from the call to the answer.
    """

    logits: Float[np.ndarray, "B classes"]
    width: Float[np.ndarray, " B"]
    macs: Int[np.ndarray, " B"]
    seconds: float


def confidence_of(logits: Float[np.ndarray, "*N classes"]) -> Float[np.ndarray, "*N"]:
    """The largest softmax probability."""
    return 1 / np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)


class Predictor:
    """A network that answers at the first width of a ladder and climbs while time lasts or an answer is not sure.

    Args:
        model: any-width classifier, run in inference mode with the weights that it has now.
        ladder: ascending widths.

    Raises:
        ValueError: if `ladder` is empty, not ascending, or not within (0, 1].

    Example:
        >>> predictor = Predictor(LeNet3C1L((28, 28, 1), 10, rngs=nnx.Rngs(0)))
        >>> predictor.predict(jnp.zeros((2, 28, 28, 1)), confidence=0.0).width.tolist()
        [0.25, 0.25]
    """

    def __init__(self, model: AnyWidthClassifier, ladder: Sequence[widths.Width] = LADDER):
        check_ascending(ladder)
        self.ladder = tuple(float(width) for width in ladder)
        self._programs, self._params = network.split(model)
        # The last times of each step at each batch shape; the slowest of them is what the next one is expected to take.
        self._seconds: dict[tuple[tuple[int, ...], int], collections.deque[float]] = {}
        self._prepared: set[tuple[tuple[int, ...], bool]] = set()

    def prepare(self, shape: Sequence[int], *, parts: bool = False) -> None:
        """Compiles and times every step for one shape of images, so that no later call has to.

        Args:
            shape: (B, H, W, P).
            parts: also for the smaller batches that are left when only some images need a wider network.
        """
        sizes = {shape[0], *(_rounded(count, shape[0]) for count in range(1, shape[0]))} if parts else {shape[0]}
        for size in sorted(sizes):
            images = jnp.zeros((size, *shape[1:]))
            self._climb(images)
            # Those times were the compiler's.
            for rung in range(len(self.ladder)):
                self._seconds[images.shape, rung].clear()
            self._climb(images)
        self._prepared |= {(tuple(shape), False), (tuple(shape), parts)}

    def predict(
        self, x: Num[Array, "B H W P"], *, deadline_s: float | None = None, confidence: float | None = None
    ) -> Prediction:
        """Answers at the narrowest width and goes on to wider ones, all images or those that are not sure yet.

        With neither limit, everything goes to the widest. A shape that `prepare` has not seen is prepared first, before the
        clock starts.

        Args:
            x: images as the network expects them, normalised.
            deadline_s: seconds from the call after which no step may end; the first answer is given in any case.
            confidence: in [0, 1]; an image is done when its largest softmax probability is at least this.

        Raises:
            ValueError: if a limit is out of range.
        """
        if deadline_s is not None and not deadline_s >= 0:
            raise ValueError(f"deadline_s must be 0 or more, got {deadline_s}")
        if confidence is not None and not 0 <= confidence <= 1:
            raise ValueError(f"confidence must be in [0, 1], got {confidence}")
        parts = confidence is not None
        if deadline_s is not None and (x.shape, parts) not in self._prepared:
            self.prepare(x.shape, parts=parts)
        began = time.perf_counter()
        state = self._step(None, x, 0)
        logits = np.array(state.logits)
        width, macs = np.full(len(x), state.width), np.full(len(x), state.macs)
        left = np.arange(len(x))
        for rung in range(1, len(self.ladder)):
            if confidence is not None:
                unsure = np.flatnonzero(confidence_of(logits[left]) < confidence)
                if not len(unsure):
                    break
                size = _rounded(len(unsure), len(x))
                if size < len(state.images) or len(unsure) < len(left):
                    # Filled up with repeated images, so that few batch sizes need a program.
                    state = _take(state, np.resize(unsure, size))
                left = left[unsure]
            if deadline_s is not None:
                expected = max(self._seconds[state.images.shape, rung])
                if time.perf_counter() - began + expected > deadline_s:
                    break
            state = self._step(state, state.images, rung)
            logits[left] = np.asarray(state.logits)[: len(left)]
            width[left], macs[left] = state.width, state.macs
        return Prediction(logits, width, macs, time.perf_counter() - began)

    def _climb(self, images: Array) -> None:
        state = self._step(None, images, 0)
        for rung in range(1, len(self.ladder)):
            state = self._step(_take(state, np.arange(len(images))), images, rung)

    def _step(self, state: network.State | None, x: Array, rung: int) -> network.State:
        began = time.perf_counter()
        if state is None:
            logits, state = network.begin(self._programs, self._params, x, self.ladder[0])
        else:
            logits, state = network.widen(state, self.ladder[rung])
        logits.block_until_ready()
        times = self._seconds.setdefault((x.shape, rung), collections.deque(maxlen=5))
        times.append(time.perf_counter() - began)
        return state


def _rounded(count: int, most: int) -> int:
    """The next power of two, or `most`."""
    return min(1 << (count - 1).bit_length(), most)


@jax.jit
def _rows_of(tree, rows):
    return jax.tree.map(lambda array: array[rows], tree)


def _take(state: network.State, rows: Int[np.ndarray, " n"]) -> network.State:
    """The state of some images."""
    images, inputs, logits = _rows_of((state.images, state.inputs, state.logits), rows)
    return dataclasses.replace(state, images=images, inputs=inputs, logits=logits)
