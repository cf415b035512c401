"""From the bytes of a picture to its pixels, upright: grey or coloured, 8 bits a plane."""

import io

import numpy as np
import PIL.Image
import PIL.ImageOps

from awn_jax.data.checks import DataError

MODES = {1: "L", 3: "RGB"}
# Pillow keeps more than 8 bits of grey pictures alone, and cuts them off at 255 when it is asked for 8.
_DEEP = ("I;16", "I;16L", "I;16B", "I")
_GREY = ("1", "L", "LA", "La", *_DEEP)
# The EXIF tag of how a camera was held; from 5 on, height and width change places.
_ORIENTATION, _SIDEWAYS = 0x0112, 5


def decode(content: bytes, name: str, planes: int, *, least: int = 0) -> PIL.Image.Image:
    """Opens a picture.

    It is turned upright where its camera has noted how it was held (EXIF). Transparent parts become white. Of 16 bits the
    upper 8 are kept, of several frames the first.

    Args:
        content: of a file.
        name: of the picture, for errors.
        planes: 1 for grey, 3 for coloured; it is converted.
        least: pixels of the shorter side that will do: a JPEG file that has twice as many may be decoded at a half, a quarter
            or an eighth of its size, which is faster. 0 for all there are.

    Returns:
        A picture of mode `L` or `RGB`.

    Raises:
        DataError: if it is no picture, or a damaged one.
    """
    try:
        with PIL.Image.open(io.BytesIO(content)) as picture:
            if least:
                picture.draft(None, (2 * least, 2 * least))
            picture.load()
            return converted(picture, planes)
    # On damaged bytes Pillow's readers raise whatever they come upon.
    except Exception as error:
        raise DataError(f"{name} cannot be read as a picture: {_reason(error, content)}") from error


def look(content: bytes, name: str) -> tuple[tuple[int, int], int]:
    """The height and width of a picture that is upright, and its planes: 1 if it is grey, else 3. Pixels are not decoded.

    Args:
        content: of a file, or its beginning.
        name: of the picture, for errors.

    Raises:
        DataError: if it is no picture.
    """
    try:
        with PIL.Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
            sideways = picture.getexif().get(_ORIENTATION, 1) >= _SIDEWAYS
            return (width, height) if sideways else (height, width), 1 if picture.mode in _GREY else 3
    except Exception as error:
        raise DataError(f"{name} cannot be read as a picture: {_reason(error, content)}") from error


def _upright(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.getexif().get(_ORIENTATION, 1) == 1:
        return picture
    return PIL.ImageOps.exif_transpose(picture)


def converted(picture: PIL.Image.Image, planes: int) -> PIL.Image.Image:
    """An open picture, upright and without transparency, grey or coloured as `planes` says; see `decode`."""
    picture, mode = _upright(picture), MODES[planes]
    if picture.mode in _DEEP:
        picture = PIL.Image.fromarray(np.rint(np.clip(np.asarray(picture), 0, 65535) / 257).astype(np.uint8))
    elif picture.has_transparency_data:
        ground = PIL.Image.new("RGBA", picture.size, "white")
        ground.alpha_composite(picture.convert("RGBA"))
        picture = ground.convert("RGB")
    return picture if picture.mode == mode else picture.convert(mode)


def _reason(error: Exception, content: bytes) -> str:
    if not content:
        return "it is empty"
    if isinstance(error, PIL.UnidentifiedImageError):
        return "it has none of the formats that Pillow knows"
    return " ".join(str(error).split()) or type(error).__name__
