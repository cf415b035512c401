"""Pictures with objects, as COCO writes them: `<split>.json` beside a folder `<split>` of pictures.

Dimensions: M objects of an image, K key points of an object, H height, W width.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from awn_jax import files
from awn_jax.data.checks import DataError
from awn_jax.data.examples import Example
from awn_jax.data.photographs import Records
from awn_jax.data.sources.found import Request

# What every example has; masks and key points are made where they are wanted.
ALWAYS = ("image", "label", "boxes", "categories", "crowd", "frame")
# As many objects as the numbers of `instances` tell apart.
MOST = np.iinfo(np.int16).max


class Picture(NamedTuple):
    """A picture with its objects.

    Attributes:
        path: from the folder of its split on.
        height, width: in pixels.
        boxes: edges of the objects: left, upper, right, lower; what reached past the picture is cut off.
        categories: of each, counted from 0 in the order of their ids.
        crowd: which stand for many objects that are not told apart.
        masks: of each, as the file has it; empty where masks are not wanted.
        points: x, y and visibility of each one's key points; none where they are not wanted.
    """

    path: str
    height: int
    width: int
    boxes: Float[np.ndarray, "M 4"]
    categories: Int[np.ndarray, " M"]
    crowd: Bool[np.ndarray, " M"]
    masks: tuple[Any, ...]
    points: Float[np.ndarray, "M K 3"]


@dataclasses.dataclass(frozen=True)
class Annotated(Records):
    """Pictures in files, and their objects.

    Attributes:
        folder: of the split's pictures.
        pictures: see `Picture`.
        class_names, point_names, entries: see `Examples`.
        most: M that all examples are filled up to.
        source: a digest of the annotations.
    """

    folder: str
    pictures: tuple[Picture, ...]
    class_names: tuple[str, ...]
    most: int
    source: str
    point_names: tuple[str, ...] = ()
    entries: tuple[str, ...] = ALWAYS

    @property
    def labels(self) -> Int[np.ndarray, " N"]:  # type: ignore[override]
        """An image as a whole has no class."""
        return np.zeros(len(self.pictures), np.int32)

    @property
    def classes(self) -> int:  # type: ignore[override]
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self.pictures)

    def record(self, index: int) -> tuple[bytes, int]:
        try:
            return pathlib.Path(self.folder, self.pictures[index].path).read_bytes(), 0
        except OSError as error:
            raise DataError(f"{self.name(index)} cannot be read: {error.strerror}") from error

    def name(self, index: int) -> str:
        return files.readable(os.path.join(self.folder, self.pictures[index].path))

    def select(self, indices: Int[np.ndarray, " M"]) -> "Annotated":
        return dataclasses.replace(self, pictures=tuple(self.pictures[index] for index in indices.tolist()))

    def listing(self) -> Iterator[str]:
        yield f"{self.source} {' '.join(self.entries)}"
        yield from (picture.path for picture in self.pictures)

    def more(self, index: int, size: tuple[int, int]) -> Example:
        picture, name = self.pictures[index], self.name(index)
        if size != (picture.height, picture.width):
            raise DataError(
                f"{name} must have the size that its annotations say, {picture.height} × {picture.width}, got "
                f"{size[0]} × {size[1]}"
            )

        def filled(values: np.ndarray, with_: int) -> np.ndarray:
            room = [(0, self.most - len(values)), *[(0, 0)] * (values.ndim - 1)]
            return np.pad(values, room, constant_values=with_)

        found = {
            "boxes": filled(picture.boxes, 0),
            "categories": filled(picture.categories, -1),
            "crowd": filled(picture.crowd, 0),
            "frame": np.array([0, 0, picture.width, picture.height], np.float32),
        }
        if "points" in self.entries:
            found["points"] = filled(picture.points, 0)
        if "instances" in self.entries:
            found["instances"] = _instances(picture, name)
        return found


def _instances(picture: Picture, name: str) -> Int[np.ndarray, "H W"]:
    """For every pixel 0, or 1 + the number of its object; of several, the smallest, and none that is a crowd."""
    from pycocotools import mask as coding

    whole = np.zeros((picture.height, picture.width), np.int16)
    decoded = []
    for number, mask in enumerate(picture.masks):
        try:
            coded = coding.frPyObjects(mask, picture.height, picture.width) if _uncoded(mask) else mask
            decoded.append(coding.decode(coding.merge(coded) if isinstance(coded, list) else coded).astype(bool))
        # On damaged codes pycocotools raises whatever it comes upon.
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"mask of object {number + 1} of {name} cannot be read: {reason}") from error
    for number in sorted(range(len(decoded)), key=lambda n: (not picture.crowd[n], -int(decoded[n].sum()))):
        whole[decoded[number]] = number + 1
    return whole


def _uncoded(mask: Any) -> bool:
    """Whether a mask is polygons, or runs that are written as numbers."""
    return isinstance(mask, list) or isinstance(mask["counts"], list)


def read(request: Request) -> Annotated:
    """Reads the annotations of one split; pictures are opened one by one.

    Args:
        request: its location is the folder that holds `<split>.json` and `<split>/`; `~` is the home folder. Its entries say
            whether masks (`instances`) and key points (`points`) are wanted.

    Raises:
        DataError: if there are no such files, or they are not what COCO says they are; the message names the annotation.
    """
    try:
        import pycocotools  # noqa: F401
    except ImportError as error:
        raise DataError("coco:PATH needs pycocotools: pip install 'awn-jax[coco]'") from error
    if request.entries == ("label",):
        raise DataError(
            f"coco:{request.location} has objects and no class for a whole image: config.task must be one that looks for "
            "them, as segment does"
        )
    root = pathlib.Path(request.location).expanduser()
    path = root / f"{request.split}.json"
    content, digest = _content(path, root)
    return _Reader(path, content, request.entries).annotated(root / request.split, digest)


def _content(path: pathlib.Path, root: pathlib.Path) -> tuple[Mapping[str, Any], str]:
    shown = files.readable(str(path))
    try:
        raw = path.read_bytes()
    except OSError as error:
        held = ", ".join(sorted(files.readable(found.stem) for found in root.glob("*.json"))) or "none"
        raise DataError(f"{shown} cannot be read: {error.strerror}; splits with a .json there: {held}") from error
    try:
        content = json.loads(raw)
    except ValueError as error:
        raise DataError(f"{shown} is no JSON: {' '.join(str(error).split())}") from error
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in lists):
        raise DataError(f"{shown} must hold lists {', '.join(lists)}, as COCO writes them")
    return content, hashlib.sha256(raw).hexdigest()


class _Reader:
    """Reads what a file holds, and names what is wrong with it.

    Args:
        path: of the file.
        content: of the file.
        entries: that are wanted.
    """

    def __init__(self, path: pathlib.Path, content: Mapping[str, Any], entries: tuple[str, ...]):
        self._shown, self._content = files.readable(str(path)), content
        self._masks = "instances" in entries
        categories = sorted((self._object(c, "categories", n) for n, c in enumerate(content["categories"])), key=_id)
        if not categories:
            raise DataError(f"{self._shown} must list at least one category, got none")
        self._numbers = {_id(category): number for number, category in enumerate(categories)}
        self._names = tuple(files.readable(str(category.get("name", _id(category)))) for category in categories)
        points = max((tuple(map(str, category.get("keypoints", ()))) for category in categories), key=len)
        self._points = points if "points" in entries else ()
        self._entries = (*ALWAYS, *(("instances",) if self._masks else ()), *(("points",) if self._points else ()))

    def annotated(self, folder: pathlib.Path, digest: str) -> Annotated:
        """The split, whose pictures lie in a folder."""
        images = [self._object(image, "images", number) for number, image in enumerate(self._content["images"])]
        if not images:
            raise DataError(f"{self._shown} must list at least one image, got none")
        objects: dict[Any, list[Any]] = {_id(image): [] for image in images}
        for number, annotation in enumerate(self._content["annotations"]):
            annotation = self._object(annotation, "annotations", number)
            if annotation.get("image_id") not in objects:
                raise DataError(
                    f"annotation {_id(annotation)} of {self._shown} must have the id of an image of its list, got "
                    f"{annotation.get('image_id')!r}"
                )
            objects[annotation["image_id"]].append(annotation)
        pictures = tuple(self._picture(image, objects[_id(image)]) for image in images)
        most = max(1, *(len(picture.boxes) for picture in pictures))
        if most > MOST:
            raise DataError(f"an image of {self._shown} must have at most {MOST} objects, got {most}")
        return Annotated(str(folder), pictures, self._names, most, digest, self._points, self._entries)

    def _picture(self, image: Mapping[str, Any], objects: list[Any]) -> Picture:
        try:
            path, height, width = str(image["file_name"]), int(image["height"]), int(image["width"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"image {_id(image)} of {self._shown} must have file_name, height and width, got {sorted(image)}"
            ) from error
        size = height, width
        return Picture(
            path,
            height,
            width,
            np.array([self._box(one, path, size) for one in objects], np.float32).reshape(-1, 4),
            np.array([self._category(one) for one in objects], np.int32),
            np.array([bool(one.get("iscrowd")) for one in objects], bool),
            tuple(self._mask(one, path, size) for one in objects) if self._masks else (),
            np.array([self._keypoints(one) for one in objects], np.float32).reshape(len(objects), len(self._points), 3),
        )

    def _box(self, one: Mapping[str, Any], path: str, size: tuple[int, int]) -> list[float]:
        what = f"bbox of annotation {_id(one)} of {self._shown}"
        try:
            left, upper, width, height = map(float, one["bbox"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{what} must be left, upper, width and height, got {one.get('bbox')!r:.80}") from error
        if not (np.isfinite([left, upper, width, height]).all() and width > 0 and height > 0):
            raise DataError(f"{what} must have a width and a height above 0, got {one['bbox']}")
        right, lower = left + width, upper + height
        if right <= 0 or lower <= 0 or left >= size[1] or upper >= size[0]:
            raise DataError(
                f"{what} must lie in its image {files.readable(path)} of {size[0]} × {size[1]} pixels, got {one['bbox']}"
            )
        return [max(left, 0.0), max(upper, 0.0), min(right, float(size[1])), min(lower, float(size[0]))]

    def _category(self, one: Mapping[str, Any]) -> int:
        if one.get("category_id") not in self._numbers:
            known = ", ".join(f"{key}: {self._names[number]}" for key, number in self._numbers.items())
            raise DataError(
                f"annotation {_id(one)} of {self._shown} must have a category of its list ({known:.200}), got "
                f"{one.get('category_id')!r}"
            )
        return self._numbers[one["category_id"]]

    def _mask(self, one: Mapping[str, Any], path: str, size: tuple[int, int]) -> Any:
        what = f"segmentation of annotation {_id(one)} of {self._shown}"
        mask = one.get("segmentation")
        if isinstance(mask, Mapping) and {"size", "counts"} <= mask.keys():
            if tuple(mask["size"]) != size:
                raise DataError(
                    f"{what} must have the size of its image {files.readable(path)}, {size[0]} × {size[1]}, got {mask['size']}"
                )
            return dict(mask)
        if isinstance(mask, list) and mask and all(isinstance(p, list) and len(p) >= 6 for p in mask):
            return mask
        raise DataError(f"{what} must be polygons or run lengths, got {mask!r:.80}")

    def _keypoints(self, one: Mapping[str, Any]) -> list[float]:
        wanted = 3 * len(self._points)
        values = one.get("keypoints", [0.0] * wanted) if wanted else []
        if len(values) != wanted:
            raise DataError(
                f"keypoints of annotation {_id(one)} of {self._shown} must be {wanted} numbers, x, y and visibility of "
                f"{', '.join(self._points)}, got {len(values)}"
            )
        return [float(value) for value in values]

    def _object(self, value: Any, name: str, number: int) -> Mapping[str, Any]:
        if not isinstance(value, Mapping) or not isinstance(value.get("id"), int | str):
            raise DataError(f"{name} of {self._shown} must be objects with an id, got {value!r:.80} as number {number}")
        return value


def _id(value: Mapping[str, Any]) -> Any:
    return value["id"]
