"""Answers within a time, or as soon as they are sure.

Dimensions: B batch, H height, W width, P planes.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from awn_jax import widths
from awn_jax.anytime import programs, widening
from awn_jax.anytime.programs import Images
from awn_jax.tasks import Classification, Task

LADDER = (0.25, 0.5, 0.75, 1.0)
BATCH_SIZES = (1, 8, 32)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What `Predictor.predict` found.

    Attributes:
        outputs: [B, ...], such as logits.
        width: [B], α that each image's outputs belong to.
        macs: [B], multiply-accumulates spent on each image.
        seconds: from the call to the answer.
    """

    outputs: Float[np.ndarray, "B ..."]
    width: Float[np.ndarray, " B"]
    macs: Int[np.ndarray, " B"]
    seconds: float


@dataclasses.dataclass
class _Batch:
    """Images that climb together.

    Attributes:
        rows: which images of the call they are.
        places: where each of them stands in the state; the others there fill it up, or are done.
        state: how far they have come.
    """

    rows: Int[np.ndarray, " n"]
    places: Int[np.ndarray, " n"]
    state: widening.State


class Predictor:
    """A network that answers at the first width of a ladder and climbs while time lasts or an answer is not sure.

    It runs batches of a few sizes: others are filled up with repeated images, or split. So, whatever sizes of batches it is
    called with, images of one size and type need at most len(batch_sizes) · len(ladder) compiled programs: 12, unless said
    otherwise. Threads may share it.

    Args:
        model: any-width network made of the library's ops alone, run in inference mode with the weights that it has now, on the
            device that they are on.
        ladder: ascending widths.
        task: what the network is for: it says how sure an output is; None for classification.
        batch_sizes: ascending.
        clock: gives seconds.

    Raises:
        ValueError: if `ladder` or `batch_sizes` is empty or not ascending, or holds what is no width, or no size.

    Example:
        >>> predictor = Predictor(model)
        >>> predictor.predict(images, confidence=0.0).width.tolist()
        [0.25, 0.25]
    """

    def __init__(
        self,
        model: nnx.Module,
        ladder: Sequence[widths.Width] = LADDER,
        *,
        task: Task | None = None,
        batch_sizes: Sequence[int] = BATCH_SIZES,
        clock: Callable[[], float] = time.perf_counter,
    ):
        exact = [widths.exact_width(width, "ladder") for width in ladder]
        if not exact or exact != sorted(set(exact)):
            raise ValueError(f"ladder must hold ascending widths, got {tuple(ladder)}")
        if not batch_sizes or list(batch_sizes) != sorted(set(batch_sizes)) or batch_sizes[0] < 1:
            raise ValueError(f"batch_sizes must hold ascending numbers of at least 1, got {tuple(batch_sizes)}")
        self.ladder, self.batch_sizes = tuple(ladder), tuple(batch_sizes)
        self.task = Classification() if task is None else task
        self._clock = clock
        self._structure, weights = programs.split(model)
        # All on one device, and JAX told so: a program is compiled anew for arrays that live elsewhere.
        first = next((leaf for leaf in weights if isinstance(leaf, jax.Array)), jnp.zeros(()))
        devices: set[Any] = first.sharding.addressable_devices
        self._device = min(devices, key=lambda device: device.id)
        self._weights = jax.device_put(weights, self._device)
        # The last times of each step; the slowest of them is what the next one is expected to take.
        self._seconds: dict[Any, tuple[float, ...]] = {}
        self._prepared: set[Any] = set()

    def prepare(self, shape: Sequence[int], *, parts: bool = False) -> None:
        """Compiles and times every step for one shape of images, so that no later call has to.

        Args:
            shape: (B, H, W, P).
            parts: also for the smaller batches that are left when only some images need a wider network.
        """
        self._prepare(shape, jnp.zeros(()).dtype, parts)

    def predict(self, x: Images, *, deadline_s: float | None = None, confidence: float | None = None) -> Prediction:
        """Answers at the narrowest width and goes on to wider ones, all images or those that are not sure yet.

        With neither limit, everything goes to the widest. With a deadline, all images have a first answer before any has a
        second; a shape that `prepare` has not seen is prepared first, before the clock starts.

        Args:
            x: images [B, H, W, P] as the network expects them, normalised.
            deadline_s: seconds from the call after which no step may end; the first answer is given in any case.
            confidence: in [0, 1]; an image is done when the task says that its output is at least this sure.

        Raises:
            ValueError: if a limit is out of range, or the network does not take such images.
            UnknownLayerError, TypeError: see `start`.
        """
        if deadline_s is not None and not deadline_s >= 0:
            raise ValueError(f"deadline_s must be 0 or more, got {deadline_s}")
        if confidence is not None and not 0 <= confidence <= 1:
            raise ValueError(f"confidence must be in [0, 1], got {confidence}")
        # On the host, where filling up and splitting need no program.
        images = np.asarray(programs.checked(x))
        images = images.astype(jax.dtypes.canonicalize_dtype(images.dtype), copy=False)
        if deadline_s is not None:
            self._prepare(images.shape, images.dtype, confidence is not None)
        began = self._clock()
        ends = math.inf if deadline_s is None else began + deadline_s
        parts = list(_parts(np.arange(len(images)), self.batch_sizes))
        # Without a deadline one after the other, so that what is kept of one batch is gone before the next.
        groups = [[part] for part in parts] if deadline_s is None else [parts]
        found = _Found(len(images))
        for group in groups:
            self._climb([self._first(images, rows, size) for rows, size in group], found, confidence, ends)
        return Prediction(np.asarray(found.outputs), found.width, found.macs, self._clock() - began)

    def _climb(self, batches: list[_Batch], found: "_Found", confidence: float | None, ends: float) -> None:
        for batch in batches:
            found.record(batch)
        for rung in range(1, len(self.ladder)):
            if confidence is not None:
                batches = [part for batch in batches for part in self._unsure(batch, confidence)]
            for batch in batches:
                if self._clock() + self._expected(batch.state.images, rung) > ends:
                    return
                batch.state = self._step(batch.state, batch.state.images, rung)
                found.record(batch)

    def _first(self, images: np.ndarray, rows: Int[np.ndarray, " n"], size: int) -> _Batch:
        filled = jax.device_put(images[np.resize(rows, size)], self._device)
        return _Batch(rows, np.arange(len(rows)), self._step(None, filled, 0))

    def _unsure(self, batch: _Batch, confidence: float) -> Iterator[_Batch]:
        """The images of a batch that are not sure yet, in smaller batches if those spare work."""
        outputs = np.asarray(batch.state.outputs)[batch.places]
        left = np.flatnonzero(self.task.at((batch.state.width,)).confidence(outputs[None])[0] < confidence)
        rows, places, state = batch.rows[left], batch.places[left], batch.state
        parts = list(_parts(np.arange(len(left)), self.batch_sizes))
        if sum(size for _, size in parts) < len(state.images):
            for part, size in parts:
                yield _Batch(rows[part], np.arange(len(part)), self._taken(state, np.resize(places[part], size)))
        elif len(left):
            yield _Batch(rows, places, state)

    def _taken(self, state: widening.State, places: Int[np.ndarray, " n"]) -> widening.State:
        """The state of some images; through the host, since a program would be one for each pair of sizes."""
        arrays = state.images, state.kept, state.outputs
        taken = jax.tree.map(lambda array: np.asarray(array)[places], arrays)
        images, kept, outputs = jax.device_put(taken, self._device)
        return dataclasses.replace(state, images=images, kept=kept, outputs=outputs)

    def _prepare(self, shape: Sequence[int], dtype: Any, parts: bool) -> None:
        sizes = {size for _, size in _parts(np.arange(shape[0]), self.batch_sizes)}
        if parts:
            sizes |= {size for size in self.batch_sizes if size < max(sizes)}
        for size in sorted(sizes):
            images = jax.device_put(np.zeros((size, *shape[1:]), dtype), self._device)
            key = images.shape, images.dtype
            if key not in self._prepared:
                # The first time is the compiler's.
                for _ in range(2):
                    state = None
                    for rung in range(len(self.ladder)):
                        self._seconds.pop((*key, rung), None)
                        state = self._step(state, images, rung)
                self._prepared.add(key)

    def _step(self, state: widening.State | None, images: Images, rung: int) -> widening.State:
        began = self._clock()
        if state is None:
            outputs, state = widening.begin(self._structure, self._weights, images, self.ladder[0])
        else:
            outputs, state = widening.widen(state, self.ladder[rung])
        outputs.block_until_ready()
        key = images.shape, images.dtype, rung
        self._seconds[key] = (*self._seconds.get(key, ()), self._clock() - began)[-5:]
        return state

    def _expected(self, images: Images, rung: int) -> float:
        return max(self._seconds.get((images.shape, images.dtype, rung), (0.0,)))


class _Found:
    """The best answers so far.

    Attributes:
        outputs: [B, ...]; None before the first.
        width, macs: [B].
    """

    def __init__(self, count: int):
        self.outputs: np.ndarray | None = None
        self.width, self.macs = np.zeros(count), np.zeros(count, np.int64)

    def record(self, batch: _Batch) -> None:
        """Takes over what a batch has come to."""
        outputs = np.asarray(batch.state.outputs)
        if self.outputs is None:
            self.outputs = np.empty((len(self.width), *outputs.shape[1:]), outputs.dtype)
        self.outputs[batch.rows] = outputs[batch.places]
        self.width[batch.rows], self.macs[batch.rows] = float(batch.state.width), batch.state.macs


def _parts(rows: Int[np.ndarray, " n"], sizes: Sequence[int]) -> Iterator[tuple[Int[np.ndarray, " m"], int]]:
    """Rows in batches that have one of a few sizes, each with its size; one that filling up would more than double is split."""
    while len(rows):
        count = len(rows)
        size = next((size for size in sizes if count <= size <= 2 * count), None)
        size = size or max((size for size in sizes if size < count), default=sizes[0])
        yield rows[:size], size
        rows = rows[size:]
