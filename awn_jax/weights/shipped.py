"""Networks that come with the package, one file each with a model card beside it."""

import pathlib

FOLDER = pathlib.Path(__file__).parent


def pretrained() -> tuple[str, ...]:
    """The names of the networks that come with the package, for `load`; `awn_jax/weights/NAME.md` says what each is.

    Example:
        >>> "digits" in pretrained()
        True
    """
    return tuple(sorted(path.stem for path in FOLDER.glob("*.safetensors")))


def path_of(name: str) -> pathlib.Path:
    """The file of one of them."""
    return FOLDER / f"{name}.safetensors"
