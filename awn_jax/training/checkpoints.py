"""Checkpoints: the only file that knows Orbax.

A checkpoint has these items: `model` (step, parameters, and all else that the network holds), `ema` (their moving averages,
where they are kept), `training` (the optimiser's state and the run's random key) and `checksums`. So a network is read without
its optimiser, and a flipped bit does not pass for a weight.
"""

import errno
import os
import pathlib
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from awn_jax.errors import UserError
from awn_jax.training import orbax_noise, sharding
from awn_jax.training.checksums import checksum, fits
from awn_jax.training.step import TrainState

# What a checkpoint takes beside its numbers: some thirty small files.
BYTES_BESIDE = 128 << 10


class CheckpointError(UserError, RuntimeError):
    """A checkpoint is missing, damaged or of another network; the message says which and what to do."""


class Checkpoints:
    """The checkpoints of a run, newest last.

    Args:
        folder: where they are.
        keep: how many of the newest; None keeps all.
        create: make the folder; otherwise it must be there, and nothing is written to it.

    Raises:
        CheckpointError: if the folder is not there and is not to be made, or is a file.
    """

    def __init__(self, folder: pathlib.Path, *, keep: int | None = 2, create: bool = True):
        orbax_noise.leave_out()
        self.folder = folder.absolute()
        if self.folder.exists() and not self.folder.is_dir():
            raise CheckpointError(f"{self.folder} must be a folder, and is a file")
        if not create and not self.folder.is_dir():
            raise CheckpointError(f"{self.folder} is not there: has the run written a checkpoint yet?")
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=create, read_only=not create)
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def steps(self) -> list[int]:
        """The steps of all complete checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def refresh(self) -> None:
        """Looks again at what is on disk, where another process may write."""
        self._manager.reload()

    def save(self, state: TrainState, *, wait: bool = False) -> None:
        """Writes a checkpoint in the background, unless this step has one; `wait` until it is on disk.

        Raises:
            CheckpointError: if it cannot be written.
        """
        step = int(state.step)
        try:
            if step != self.latest_step():
                items = _items(state)
                args = {name: ocp.args.StandardSave(item) for name, item in items.items()}
                checksums = ocp.args.JsonSave({name: checksum(item) for name, item in items.items()})
                self._manager.save(step, args=ocp.args.Composite(**args, checksums=checksums))
            if wait:
                self._manager.wait_until_finished()
        except (OSError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{self.folder / str(step)} cannot be written: {_reason(error)}") from error

    def restore(self, like: TrainState, mesh: Mesh, step: int | None = None, *, shared: bool = False) -> TrainState:
        """A checkpoint, on the devices of a mesh.

        Args:
            like: a state of the same structure, shapes and types; where it has no optimiser's state, or no averages (None),
                none are read.
            mesh: where every device gets a copy.
            step: which; None for the newest.
            shared: devices get pieces of the optimiser's state, see `sharding`; however many had written it.

        Raises:
            CheckpointError: if there is none, it cannot be read as such a state, or is not what was written.
        """
        step = self.latest_step() if step is None else step
        if step is None:
            raise CheckpointError(f"{self.folder} holds no checkpoint")
        where = sharding.of(like, mesh, shared=shared)
        shapes = jax.tree.map(lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at), like, where)
        wanted = {
            name: item for name, item in _items(shapes).items() if name != "training" or like.opt_state is not None
        }
        found = self._read(step, wanted)
        checksums = found.pop("checksums")
        for name, item in found.items():
            if not fits(item, checksums.get(name)):
                raise CheckpointError(
                    f"{self.folder / str(step)} {_damaged('its numbers are not those that were written')}"
                )
        model, ema = found["model"], found.get("ema")
        if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves((model, ema)) if _is_float(leaf)):
            raise CheckpointError(f"{self.folder / str(step)} {_damaged('it holds numbers that are not finite')}")
        training = found.get("training", {"opt_state": None, "key": like.key})
        averages = (ema["params"], ema["rest"]) if ema else None
        return TrainState(
            model["step"], model["params"], model["rest"], training["opt_state"], training["key"], averages
        )

    def _read(self, step: int, wanted: dict[str, Any]) -> dict[str, Any]:
        args = {name: ocp.args.StandardRestore(item) for name, item in wanted.items()}
        try:
            found = self._manager.restore(step, args=ocp.args.Composite(**args, checksums=ocp.args.JsonRestore()))
        except Exception as error:
            raise CheckpointError(f"{self.folder / str(step)} {_damaged(_reason(error))}") from error
        return {name: found[name] for name in (*wanted, "checksums")}

    def close(self) -> None:
        """Waits for what is being written.

        Raises:
            CheckpointError: if it could not be.
        """
        try:
            self._manager.close()
        except (OSError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{self.folder} cannot be written: {_reason(error)}") from error


def check_room(folder: pathlib.Path, state: TrainState, count: int) -> None:
    """Makes sure that checkpoints of a state will fit on the disk.

    Args:
        folder: on that disk.
        state: of which they will be.
        count: how many.

    Raises:
        CheckpointError: if they will not.
    """
    sizes = [leaf.nbytes for leaf in jax.tree.leaves((state.params, state.rest, state.opt_state, state.ema))]
    needed, free = count * (sum(sizes) + BYTES_BESIDE), shutil.disk_usage(folder).free
    if free < needed:
        raise CheckpointError(
            f"{folder} must have room for {count} checkpoints of this network, {needed:,} bytes, and has {free:,}: make "
            "room, or choose another workdir"
        )


def _items(state: TrainState) -> dict[str, Any]:
    items = {"model": {"step": state.step, "params": state.params, "rest": state.rest}}
    if state.ema is not None:
        items["ema"] = dict(zip(("params", "rest"), state.ema, strict=True))
    return items | {"training": {"opt_state": state.opt_state, "key": state.key}}


def _is_float(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def _damaged(reason: str) -> str:
    return (
        f"cannot be restored ({reason}). If it is of another network, choose another workdir; if it is damaged, move that "
        "folder away to go on from the checkpoint before it"
    )


def _reason(error: BaseException) -> str:
    """What went wrong at the bottom of a chain of errors, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    if (full := os.strerror(errno.ENOSPC)) in text:
        return full
    return text.split(" [tensorstore_spec")[0][:300]
