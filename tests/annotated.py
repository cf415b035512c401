"""Small sets of pictures with objects, written as COCO writes them: scikit-learn's handwritten digits, pasted side by side."""

import json
import pathlib

import numpy as np
import PIL.Image
from sklearn.datasets import load_digits

CLASS_NAMES = ("even", "odd")
POINT_NAMES = ("top", "bottom")
SIZE = (32, 48)


def write(folder: pathlib.Path, split: str, count: int, *, size: tuple[int, int] = SIZE, seed: int = 0) -> dict:
    """Writes `<split>.json` and its pictures; every second picture has two objects, every fourth none.

    Args:
        folder: of the set.
        split: its name.
        count: of pictures.
        size: height and width.
        seed: of places and digits.

    Returns:
        What the file holds; masks are run lengths and polygons in turn.
    """
    from pycocotools import mask as coding

    (folder / split).mkdir(parents=True, exist_ok=True)
    digits, rng = load_digits(), np.random.default_rng(seed)
    images, annotations = [], []
    for number in range(1, count + 1):
        picture = np.zeros(size, np.uint8)
        for place in range(0 if number % 4 == 0 else 1 + number % 2):
            which = rng.integers(len(digits.images))
            shape = np.kron(digits.images[which] > 6, np.ones((2, 2))).astype(np.uint8)
            top, left = rng.integers(size[0] - 16), place * (size[1] // 2) + rng.integers(size[1] // 2 - 16)
            whole = np.zeros(size, np.uint8)
            whole[top : top + 16, left : left + 16] = shape
            picture = np.where(whole > 0, 220, picture).astype(np.uint8)
            rows, columns = np.nonzero(whole)
            x, y, right, low = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            coded = coding.encode(np.asfortranarray(whole))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 10 * (1 + int(digits.target[which]) % 2),
                    "bbox": [float(n) for n in (x, y, right - x, low - y)],
                    "area": int(whole.sum()),
                    "iscrowd": 0,
                    "segmentation": {"size": list(size), "counts": coded["counts"].decode()},
                    "keypoints": [float(n) for n in (x + 8, y, 2, x + 8, low, 2)],
                }
            )
        images.append({"id": number, "file_name": f"{number}.png", "height": size[0], "width": size[1]})
        PIL.Image.fromarray(picture).save(folder / split / f"{number}.png")
    categories = [
        {"id": 10 * (1 + n), "name": name, "keypoints": list(POINT_NAMES)} for n, name in enumerate(CLASS_NAMES)
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    store(folder, split, content)
    return content


def store(folder: pathlib.Path, split: str, content: dict) -> None:
    """Writes what `write` gave, changed."""
    (folder / f"{split}.json").write_text(json.dumps(content))
