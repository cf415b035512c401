"""The tile search: every tile is checked before it is timed."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, NamedTuple

import jax

from ...backend import PRODUCTS, Product, Products
from ...mosaic_gpu import ops
from ...mosaic_gpu.config import Tiling, conv_search_space, weight_search_space
from ...shapes import Shape
from ...timing import Call, Deadline, interleaved
from .check import MAX_RELATIVE_ERROR, Exact, relative_error


class Found(NamedTuple):
    """One tile tried: seconds per call, or infinity with the reason."""

    product: Product
    layer: str
    tile: Tiling
    seconds: float
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Returns plain values."""
        seconds = self.seconds if math.isfinite(self.seconds) else None
        return {
            "product": self.product,
            "layer": self.layer,
            **asdict(self.tile),
            "seconds": seconds,
            "note": self.note,
        }


def products_with(tiles: Mapping[Product, Tiling]) -> Products:
    """Returns the Hopper products, with the given tile for each one named."""
    return Products(*(functools.partial(getattr(ops, name), config=tiles.get(name)) for name in PRODUCTS))


def candidates(product: Product, best: Tiling | None) -> Iterator[Tiling]:
    """Yields the tiles of a round: shapes at the deepest ring first, then every depth and order of the best shape.

    Args:
      product: name of the product.
      best: the winner of the first round, or None for the first round.

    Yields:
      Legal tiles.
    """
    space: list[Any] = list(weight_search_space() if product == "weight_gradient" else conv_search_space())
    if best is None:
        deepest: dict[Any, Any] = {}
        for tile in space:
            if getattr(tile, "waves", 1) == 1:
                deepest[tile_shape(tile)] = max(deepest.get(tile_shape(tile), tile), tile, key=lambda t: t.stages)
        yield from deepest.values()
    else:
        yield from (tile for tile in space if tile_shape(tile) == tile_shape(best) and tile != best)


def search(
    product: Product, layer: Shape, expected: Exact, deadline: Deadline, *, limit: int | None, threads: int
) -> list[Found]:
    """Times tiles for one product of one layer, as many as the deadline allows.

    Args:
      product: name of the product.
      layer: where.
      expected: the layer's inputs and exact results.
      deadline: when to stop.
      limit: tiles per round at most, or None for all.
      threads: how many tiles to compile at once.

    Returns:
      What was tried, fastest first.
    """
    found: list[Found] = []
    for _ in range(2):
        tiles = list(candidates(product, found[0].tile if found else None))[:limit]
        build = functools.partial(_compile, product, layer, expected, deadline)
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                compiled = list(pool.map(build, tiles))
        else:  # Threads would leave the context of interpret mode.
            compiled = [build(tile) for tile in tiles]
        for tile, run in zip(tiles, compiled, strict=True):
            if deadline.left > 0:
                found.append(_try(product, layer, expected, tile, run))
        found.sort(key=lambda f: f.seconds)
        if not found or not math.isfinite(found[0].seconds):
            break
    return found


def tile_shape(tile: Tiling) -> tuple[int, ...]:
    """Returns what of a tile its depth and order leave alone."""
    return tile.rows, tile.columns, getattr(tile, "pixels", 0), getattr(tile, "taps", 0)


def _compile(
    product: Product, layer: Shape, expected: Exact, deadline: Deadline, tile: Tiling
) -> Callable[..., Any] | Exception | None:
    if deadline.left <= 0:
        return None
    try:
        call = jax.jit(lambda x, w, dy: layer.product(product, products_with({product: tile}), x, w, dy))
        return call.lower(expected.x, expected.w, expected.dy).compile()
    except Exception as error:  # A tile that cannot be built is a result of the search.
        return error


def _try(product: Product, layer: Shape, expected: Exact, tile: Tiling, run: Any) -> Found:
    if run is None or isinstance(run, Exception):
        return Found(product, layer.name, tile, math.inf, f"did not compile: {run}"[:300])
    arguments = (expected.x, expected.w, expected.dy)
    error = relative_error(product, run(*arguments), expected, layer)
    if error > MAX_RELATIVE_ERROR:
        return Found(product, layer.name, tile, math.inf, f"wrong: relative error {error:.1e}")
    times = interleaved({"": Call(run, [arguments])}, 3, sample_seconds=0.02)[""]
    return Found(product, layer.name, tile, times.median)
