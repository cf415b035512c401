"""Which object each cell of a grid is to find.

Dimensions: B images, M places for objects, of which some are empty, h and w cells.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from awn_jax.tasks.detect.boxes import area, centres

# Cells from the middle of an object that find it.
RADIUS = 1.5


class Objects(NamedTuple):
    """What is in images, as arrays of JAX or NumPy.

    Attributes:
        boxes: (left, top, right, bottom) in shares of the image.
        labels: classes; −1 where a place is empty.
        crowd: many objects in one box, none of which is to be found for itself.
    """

    boxes: Float[Any, "B M 4"]
    labels: Int[Any, "B M"]
    crowd: Bool[Any, "B M"]


class Matches(NamedTuple):
    """What each cell is to find.

    Attributes:
        boxes: of the object; a box of zeros where there is none.
        labels: its class; −1 where there is none.
        ignored: the cell lies in a crowd, and learns nothing.
    """

    boxes: Float[Array, "B h w 4"]
    labels: Int[Array, "B h w"]
    ignored: Bool[Array, "B h w"]


def matches(objects: Objects, rows: int, columns: int) -> Matches:
    """Gives each object to the cells around its middle, and to the one that its middle lies in, however small it is.

    An object has the cells whose middles lie in its box and at most `RADIUS` cells from its own middle, in rows and columns. Of
    several objects at a cell, the smallest counts. An object whose middle is outside of the image has no cell.

    Args:
        objects: of the images.
        rows: h.
        columns: w.

    Source: FCOS (Tian et al., 2019), with its sampling at the middle.
    """
    boxes, labels, crowd = objects
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    points = centres(rows, columns).astype(boxes.dtype)[None, :, :, None]
    grid = jnp.asarray([columns, rows], boxes.dtype)[None, None, None, None]
    low, high = (boxes[:, None, None, :, axes] for axes in (slice(2), slice(2, 4)))
    inside = jnp.all((low <= points) & (points <= high), -1)
    near = jnp.all(jnp.abs(points - middle[:, None, None]) * grid <= RADIUS, -1)
    own = jnp.all(jnp.floor(points * grid) == jnp.floor(middle[:, None, None] * grid), -1)
    there = (labels >= 0)[:, None, None]
    wanted = there & ~crowd[:, None, None] & (inside & near | own)
    sizes = jnp.where(wanted, area(boxes)[:, None, None], jnp.inf)
    which = sizes.argmin(-1)
    found = wanted.any(-1)
    one = jnp.take_along_axis(boxes[:, None, None], which[..., None, None], 3)[..., 0, :]
    label = jnp.take_along_axis(labels[:, None, None], which[..., None], 3)[..., 0]
    ignored = (there & crowd[:, None, None] & inside).any(-1) & ~found
    return Matches(jnp.where(found[..., None], one, 0), jnp.where(found, label, -1), ignored)
