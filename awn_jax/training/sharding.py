"""Where the numbers of a run lie on its devices: a copy on each, or the optimiser's shared out among them.

What an optimiser keeps of every parameter, its momentum say, is used once in a step, to make that parameter's update. So each
device may keep one piece of it and make that piece of the update; the updated parameters are then gathered from all.

Source: of the sharing, ZeRO, stage 1 (Rajbhandari et al., 2020).
"""

import dataclasses
import math
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

COPIES, PIECES = "copies", "pieces"


def of(state: Any, mesh: Mesh, *, shared: bool = False) -> Any:
    """Where each array of a training state lies.

    Args:
        state: a `TrainState` of arrays, or of their shapes.
        mesh: devices.
        shared: the optimiser's arrays are shared out; all others are copied to every device.

    Returns:
        The state with a sharding in place of each array.
    """
    copies = NamedSharding(mesh, PartitionSpec())
    found = jax.tree.map(lambda _: copies, state)
    return dataclasses.replace(found, opt_state=shares(state.opt_state, mesh)) if shared else found


def shares(tree: Any, mesh: Mesh) -> Any:
    """The sharding of each array of a tree, in pieces as small as can be, see `share`."""
    return jax.tree.map(lambda array: share(array.shape, mesh), tree)


def share(shape: tuple[int, ...], mesh: Mesh) -> NamedSharding:
    """An array cut along one axis, into as many equal pieces as the devices can hold in equal numbers.

    Where no axis divides by the number of devices, there are fewer pieces, and several devices hold the same: 724 rows on 64
    devices are 4 pieces on 16 devices each.

    Args:
        shape: of the array.
        mesh: devices.
    """
    pieces = [math.gcd(size, mesh.size) for size in shape]
    if max(pieces, default=1) == 1:
        return NamedSharding(mesh, PartitionSpec())
    # Of axes that give equally many, the longest.
    axis = max(range(len(shape)), key=lambda i: (pieces[i], shape[i]))
    devices: np.ndarray = mesh.devices.reshape(-1, pieces[axis])
    names = Mesh(devices, (COPIES, PIECES), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    return NamedSharding(names, PartitionSpec(*[None] * axis, PIECES))
