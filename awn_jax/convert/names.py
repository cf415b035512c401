"""What the layers of a model are called elsewhere: in torchvision, or in the PyTorch networks for CIFAR that are in common use.

A rule gives, for each module of ours by its dotted path, the names that it may have there. A module that a network does not
have may be listed all the same.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from awn_jax.convert.reading import ConvertError
from awn_jax.models import mobilenet_v2, resnet

# Ours -> what it may be called there.
Names = Mapping[str, tuple[str, ...]]


def names_of(model: str, options: Any) -> Names:
    """The names of a model's layers elsewhere.

    Args:
        model: of `models.MODELS`.
        options: of the network.

    Raises:
        ConvertError: if there is no rule for the model.
    """
    if model not in RULES:
        raise ConvertError(
            f"the model must be one of {', '.join(RULES)}, whose names elsewhere are known, got {model!r}"
        )
    return {rule[0]: rule[1:] for rule in RULES[model](options)}


def _lenet(options: Any) -> Iterator[tuple[str, ...]]:
    """Names that suggest themselves: there is no such network in torchvision."""
    for number in (1, 2, 3):
        yield f"conv{number}", f"conv{number}"
        yield f"norm{number}", f"bn{number}"
    yield "head", "fc", "linear", "classifier"


def _resnet(options: Any) -> Iterator[tuple[str, ...]]:
    yield from _normed("stem", ("conv1", "bn1"))
    published, bottleneck = resnet.DEPTHS[options.depth]
    places = [(stage, block) for stage, count in enumerate(options.counts(published), 1) for block in range(count)]
    for number, (stage, block) in enumerate(places):
        ours, theirs = f"blocks.{number}", f"layer{stage}.{block}"
        for conv in range(1, 4 if bottleneck else 3):
            yield from _normed(f"{ours}.conv{conv}", (f"{theirs}.conv{conv}", f"{theirs}.bn{conv}"))
        shortcuts = [tuple(f"{theirs}.{name}.{part}" for part in (0, 1)) for name in ("downsample", "shortcut")]
        yield from _normed(f"{ours}.shortcut", *shortcuts)
    yield "head", "fc", "linear"


def _mobilenet_v2(options: Any) -> Iterator[tuple[str, ...]]:
    counts = options.counts([count for _, _, count, _ in mobilenet_v2.STAGES])
    expansions = [stage[0] for stage, count in zip(mobilenet_v2.STAGES, counts, strict=True) for _ in range(count)]
    cifar = options.form == "cifar"
    yield from _normed("stem", ("conv1", "bn1") if cifar else ("features.0.0", "features.0.1"))
    for number, expansion in enumerate(expansions):
        ours = f"blocks.{number}"
        if cifar:
            for position, layer in enumerate(("expand", "depthwise", "project"), 1):
                yield from _normed(
                    f"{ours}.{layer}", tuple(f"layers.{number}.{kind}{position}" for kind in ("conv", "bn"))
                )
            yield from _normed(f"{ours}.shortcut", tuple(f"layers.{number}.shortcut.{part}" for part in (0, 1)))
            continue
        theirs, place = f"features.{number + 1}.conv", itertools.count()
        for layer in ("expand", "depthwise") if expansion > 1 else ("depthwise",):
            at = next(place)
            yield from _normed(f"{ours}.{layer}", (f"{theirs}.{at}.0", f"{theirs}.{at}.1"))
        yield from _normed(f"{ours}.project", (f"{theirs}.{next(place)}", f"{theirs}.{next(place)}"))
    last = f"features.{len(expansions) + 1}"
    yield from _normed("tail", ("conv2", "bn2") if cifar else (f"{last}.0", f"{last}.1"))
    yield "head", *(("linear",) if cifar else ("classifier.1",))


def _normed(ours: str, *theirs: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """A layer and its norm, for each way in which they may be called."""
    for part, names in zip(("layer", "norm"), zip(*theirs, strict=True), strict=True):
        yield f"{ours}.{part}", *names


RULES: dict[str, Callable[[Any], Iterator[tuple[str, ...]]]] = {
    "lenet_3c1l": _lenet,
    "mobilenet_v2": _mobilenet_v2,
    "resnet": _resnet,
}
