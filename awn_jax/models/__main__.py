"""The networks of the library and their sizes: `python -m awn_jax.models`."""

import argparse
from collections.abc import Mapping
from typing import Any, NamedTuple

from flax import nnx

from awn_jax import arguments, families, hardware, models, widths
from awn_jax.network import costs

WIDTHS = (0.25, 0.5, 1.0)


class Listed(NamedTuple):
    """A network as it is used.

    Attributes:
        title: what it is called.
        name: of `models.MODELS`.
        image_size: height, width and planes.
        classes: number of outputs.
        options: of the network.
    """

    title: str
    name: str
    image_size: tuple[int, int, int]
    classes: int
    options: Mapping[str, Any] = {}


LISTED = (
    Listed("LeNet-3C1L", "lenet_3c1l", (28, 28, 1), 10),
    Listed("MobileNetV1", "mobilenet_v1", (224, 224, 3), 1000),
    Listed("MobileNetV2", "mobilenet_v2", (224, 224, 3), 1000),
    Listed("MobileNetV2 (CIFAR)", "mobilenet_v2", (32, 32, 3), 10, {"form": "cifar"}),
    Listed("ResNet-18 (CIFAR)", "resnet", (32, 32, 3), 10, {"depth": 18, "form": "cifar"}),
    Listed("ResNet-50", "resnet", (224, 224, 3), 1000),
    Listed("ShuffleNetV1, g = 3", "shufflenet_v1", (224, 224, 3), 1000),
    Listed("Pyramid on MobileNetV2", "fpn", (192, 256, 3), 7),
    Listed("Pyramid on ResNet-18", "fpn", (192, 256, 3), 7, {"backbone": "resnet18"}),
    Listed("U-Net", "unet", (256, 256, 3), 2),
)

HEAD = (
    "| network | images | ordinary: parameters | multiply-accumulates | triangular: parameters | at ¼ | at ½ | at 1 "
    "| sub-networks in [¼, 1] | channel by channel |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


def row(listed: Listed, grid: int) -> str:
    """A line of the table: the ordinary network, and the triangular one, √2 wider, with births on a grid.

    Args:
        listed: the network.
        grid: moments at which channels are born.
    """
    ordinary = costs(_made(listed, family=families.make("single")), listed.image_size, [1])
    triangular = costs(_made(listed, grid=grid), listed.image_size, WIDTHS)
    height, width, _ = listed.image_size
    cells = [
        listed.title,
        f"{height} × {width}",
        *map(_millions, [*ordinary.params, *ordinary.macs, triangular.params[-1], *triangular.macs]),
        *(f"{len(models.distinct_widths(_made(listed, grid=one))):,}" for one in (grid, 0)),
    ]
    return f"| {' | '.join(cells)} |"


def _made(listed: Listed, **options: Any) -> nnx.Module:
    """The network without numbers in it."""
    kind: Any = models.find(listed.name)
    own = {**listed.options, **options}
    made: nnx.Module = nnx.eval_shape(lambda: kind(listed.image_size, listed.classes, rngs=nnx.Rngs(0), **own))
    return made


def _millions(number: Any) -> str:
    millions = int(number) / 1e6
    return f"{millions:.2f} M" if millions < 100 else f"{millions:,.0f} M"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m awn_jax.models", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grid", type=arguments.positive(int), default=32, help="moments at which channels are born")
    grid = parser.parse_args().grid
    if grid > widths.MOST_BIRTHS:
        parser.error(f"--grid must be at most {widths.MOST_BIRTHS}, got {grid}")
    print(*HEAD, sep="\n")
    for listed in LISTED:
        print(row(listed, grid), flush=True)


if __name__ == "__main__":
    with hardware.one_line_errors():
        main()
