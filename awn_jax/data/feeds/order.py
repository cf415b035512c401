"""Which examples make up each training step, and what each of them is: pure functions of the seed and the step."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Int

from awn_jax.data.examples import Example, Examples
from awn_jax.data.transforms import Transforms

# Apart from the order's own random numbers.
_TRANSFORMS = 1


@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, count: int) -> Int[np.ndarray, " N"]:
    return np.random.default_rng([seed, epoch]).permutation(count).astype(np.int32)


def order(seed: int, count: int, positions: Int[np.ndarray, " B"]) -> Int[np.ndarray, " B"]:
    """The examples at some positions of training. Every epoch is a fresh permutation of all.

    Args:
        seed: of the permutations.
        count: N, of the examples.
        positions: counted from 0 over all epochs.

    Returns:
        Numbers in [0, N).
    """
    epochs, within = np.divmod(positions, count)
    found = np.empty(len(positions), np.int32)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        found[here] = _epoch_order(seed, int(epoch), count)[within[here]]
    return found


@dataclasses.dataclass(frozen=True)
class Stream:
    """The examples of training, one after the other, without an end.

    Batches follow each other in it, and may span two epochs, so no example is left out. What a transform draws depends on the
    position alone, so neither the feed nor the number of workers changes it.

    Attributes:
        examples: of the training split.
        transforms: of which those of the host are applied here.
        seed: of the order and the transforms, 0 or more.
        batch_size: B, of all devices and hosts together.
    """

    examples: Examples
    transforms: Transforms
    seed: int
    batch_size: int

    def step(self, step: int) -> Int[np.ndarray, " B"]:
        """The numbers of the examples of a step, counted from 0."""
        return order(self.seed, len(self.examples), self.positions(step))

    def positions(self, step: int) -> Int[np.ndarray, " B"]:
        """Where the examples of a step stand."""
        return np.arange(step * self.batch_size, (step + 1) * self.batch_size)

    def at(self, position: int) -> Example:
        """The example at a position, transformed and of the size of all.

        Raises:
            DataError: if it cannot be read.
        """
        index = int(order(self.seed, len(self.examples), np.array([position]))[0])
        if not self.transforms.host:
            return self.examples.example(index)
        example = self.examples.picture(index)
        rng = np.random.default_rng([self.seed, _TRANSFORMS, position])
        for transform in self.transforms.host:
            example = transform(rng, example)
        return self.examples.fit(example)
