"""Checkpoints: the only file that knows Orbax."""

import logging
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from awn_jax.training.step import TrainState

logging.getLogger("absl").setLevel(logging.WARNING)


class CheckpointError(RuntimeError):
    """A checkpoint is missing, damaged or of another network; the message says which and what to do."""


class Checkpoints:
    """The checkpoints of a run, newest last.

    Args:
        folder: where they are.
        keep: how many of the newest; None keeps all.
        create: make the folder; otherwise it must be there.

    Raises:
        CheckpointError: if the folder is not there and is not to be made.
    """

    def __init__(self, folder: pathlib.Path, *, keep: int | None = 2, create: bool = True):
        self.folder = folder.absolute()
        if not create and not self.folder.is_dir():
            raise CheckpointError(f"{self.folder} is not there: has the run written a checkpoint yet?")
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=create)
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def steps(self) -> list[int]:
        """The steps of all complete checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState, *, wait: bool = False) -> None:
        """Writes a checkpoint in the background, unless this step has one; `wait` until it is on disk."""
        step = int(state.step)
        if step != self.latest_step():
            self._manager.save(step, args=ocp.args.StandardSave(state))
        if wait:
            self._manager.wait_until_finished()

    def restore(self, like: TrainState, mesh: Mesh, step: int | None = None) -> TrainState:
        """A checkpoint, on the devices of a mesh.

        Args:
            like: a state of the same structure, shapes and types.
            mesh: where every device gets a copy.
            step: which; None for the newest.

        Raises:
            CheckpointError: if there is none, or it cannot be read as such a state.
        """
        step = self.latest_step() if step is None else step
        if step is None:
            raise CheckpointError(f"{self.folder} holds no checkpoint")
        place = self.folder / str(step)
        replicated = NamedSharding(mesh, PartitionSpec())
        wanted = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated), like)
        shown = sys.unraisablehook
        sys.unraisablehook = _without_late_reads(shown)
        try:
            state = self._manager.restore(step, args=ocp.args.StandardRestore(wanted))
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            reason = lines[0].split(" [tensorstore_spec")[0][:300]
            raise CheckpointError(
                f"{place} cannot be restored ({reason}). If it is of another network, choose another workdir; if it is "
                "damaged, delete that folder to go on from the checkpoint before it"
            ) from error
        sys.unraisablehook = shown
        return state

    def close(self) -> None:
        """Waits for what is being written."""
        self._manager.close()


def _without_late_reads(shown: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A hook that leaves out what Orbax's other reads say when the first has failed and ended their event loop."""

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            shown(unraisable)

    return hook
