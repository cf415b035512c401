"""What tasks draw over an image: SVG elements in a picture of 1 × 1, whatever the image's proportions.

Dimensions: h and w pixels.
"""

import base64
import io

import numpy as np
import PIL.Image
from jaxtyping import Integer

# By number of a class or key point, again from the first one on after the last.
COLOURS = ("#e6194b", "#4363d8", "#3cb44b", "#f58231", "#911eb4", "#42d4f4", "#f032e6", "#bfef45")


def colour(number: int) -> str:
    """The colour of a class or of a key point."""
    return COLOURS[number % len(COLOURS)]


def box(left: float, top: float, right: float, bottom: float, number: int) -> str:
    """The frame of a box in the colour of its class; edges in shares of the image."""
    return (
        f'<rect x="{left:.4f}" y="{top:.4f}" width="{max(right - left, 0):.4f}" height="{max(bottom - top, 0):.4f}" '
        f'fill="none" stroke="{colour(number)}" stroke-width="2"/>'
    )


def point(x: float, y: float, number: int) -> str:
    """A dot, round whatever the image's proportions; its place in shares of the image."""
    # A line without length has round ends, whose size does not depend on the picture's.
    return f'<path d="M{x:.4f} {y:.4f}h0" stroke="{colour(number)}" stroke-width="9" stroke-linecap="round"/>'


# The number that a mask has where it is white, and how much of the image it hides, of 255.
WHITE, _OPAQUE = -1, 140


def mask(numbers: Integer[np.ndarray, "h w"]) -> str:
    """A picture over the whole image: nothing where the number is 0, the colour of class k − 1 at k, white at `WHITE`."""
    shades = [tuple(bytes.fromhex(shade[1:])) for shade in COLOURS]
    table = np.array([(0, 0, 0, 0), *((*shade, _OPAQUE) for shade in shades), (255, 255, 255, 255)], np.uint8)
    indices = np.where(numbers > 0, 1 + (numbers - 1) % len(COLOURS), np.where(numbers == WHITE, len(COLOURS) + 1, 0))
    picture = PIL.Image.fromarray(indices.astype(np.uint8), "P")
    picture.putpalette(table.tobytes(), "RGBA")
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<image href="data:image/png;base64,{data}" width="1" height="1" preserveAspectRatio="none"/>'
