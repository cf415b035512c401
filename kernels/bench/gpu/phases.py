"""The phases of the bench that come before any claim of speed: ceilings, correctness, the tile search, a training step."""

import platform
from dataclasses import replace

import jax
import jaxlib

from ... import reference
from ...backend import PRODUCTS, Product, Products
from ...mosaic_gpu.config import Tiling, WeightTiling
from ...mosaic_gpu.ops import default_config
from ...shapes import Shape
from ...timing import Deadline, copy_bandwidth, matmul_peak
from ..roofline import Chip
from . import network
from .check import MAX_RELATIVE_ERROR, Exact, exact, relative_error
from .layers import Sizes
from .report import Report
from .search import Found, products_with, search

Tiles = dict[str, dict[Product, Tiling]]
REFERENCE = Products.of(reference)


def ceilings(sizes: Sizes, report: Report) -> Chip:
    """Measures what the device can do."""
    device = jax.devices()[0]
    found = Chip(device.device_kind, matmul_peak(sizes.peak_size, "bfloat16"), copy_bandwidth(sizes.copy_size))
    report.add(
        "Machine",
        "machine",
        [
            {
                "device": device.device_kind,
                "jax": jax.__version__,
                "jaxlib": jaxlib.__version__,
                "backend": device.client.platform_version.splitlines()[0],
                "python": platform.python_version(),
                "bf16 TFLOP/s": found.flops / 1e12,
                "copy TB/s": found.bandwidth / 1e12,
            }
        ],
        f"Ceilings: a matrix product of size {sizes.peak_size} on random data, and a pass over "
        f"{4 * sizes.copy_size / 1e9:.3g} GB.",
    )
    return found


def correctness(sizes: Sizes, report: Report, deadline: Deadline) -> tuple[dict[str, Exact], bool, tuple[Shape, ...]]:
    """Checks every product at every layer; on an error also with borders padded in memory, to tell where it lies.

    Args:
      sizes: how much to do.
      report: where results go.
      deadline: of the whole bench; when half of it is gone, the remaining layers are left out, and named.

    Returns:
      Inputs and exact results of the key layers, whether all numbers were right, and the other layers checked.
    """
    kept, rows, ok = {}, [], True
    checked, skipped, late = [], [], deadline.left / 2
    for layer in (*sizes.key, *sizes.other):
        if layer in sizes.other and deadline.left < late:
            skipped.append(layer.name)
            continue
        checked.append(layer)
        expected = exact(layer)
        for product in PRODUCTS:
            error = _error(product, layer, expected, {})
            row = {"layer": layer.name, "product": product, "relative error": error, "padded in memory": ""}
            if error > MAX_RELATIVE_ERROR:
                ok = False
                tile = default_config(product, layer.x_shape, layer.w_shape, layer.y_shape, layer.strides)
                padded = {product: replace(tile, pad_in_memory=True)}
                row["padded in memory"] = _error(product, layer, expected, padded)
            rows.append(row)
        if layer in sizes.key:
            kept[layer.name] = expected
    report.add(
        "Correctness",
        "correctness",
        rows,
        f"‖kernel − float32‖ / ‖float32‖, at most {MAX_RELATIVE_ERROR}. {'All right.' if ok else 'WRONG.'}"
        + (f" Not checked, out of time: {', '.join(skipped)}." if skipped else ""),
    )
    return kept, ok, tuple(layer for layer in checked if layer in sizes.other)


def tile_search(sizes: Sizes, report: Report, expected: dict[str, Exact], deadline: Deadline) -> Tiles:
    """Searches tiles for every product of the key layers; returns the winners by layer and product."""
    winners: Tiles = {layer.name: {} for layer in sizes.key}
    tried: list[Found] = []
    for layer in sizes.key:
        for product in PRODUCTS:
            found = search(
                product,
                layer,
                expected[layer.name],
                deadline,
                limit=sizes.search_limit,
                threads=sizes.search_threads,
            )
            tried += found
            print(f"{layer.name} {product}: {len(found)} tiles tried, {deadline.left:.0f} s left", flush=True)
            if found and found[0].seconds < float("inf"):
                winners[layer.name][product] = found[0].tile
            elif found:
                print(f"none of them ran; the first: {found[0].note}", flush=True)
    report.data["tiles tried"] = [found.as_json() for found in tried]
    rows = [
        {"layer": name, "product": product, "tile": short(tile)}
        for name, tiles in winners.items()
        for product, tile in tiles.items()
    ]
    report.add("Fastest tiles", "winners", rows, f"Of {len(tried)} tried; gpu.json has them all.")
    return winners


def training(sizes: Sizes, report: Report, tiles: Tiles, deadline: Deadline) -> None:
    """Measures a training step of a ResNet-like any-width net, triangular against masked dense."""
    if deadline.left < 60:
        report.add("Training step", "training", [], "Not measured, out of time.")
        return
    best = next(iter(tiles.values()), {})
    contenders = {"triangular": products_with(best), "masked dense": REFERENCE}
    times, losses = network.compare(
        sizes.network, sizes.network_blocks, contenders, steps=3, samples=min(5, sizes.samples)
    )
    rows = [
        {
            "convolution": name,
            "ms per step": time.median * 1e3,
            "vs masked dense": times["masked dense"].median / time.median,
            "losses": " ".join(f"{loss:.4f}" for loss in losses[name]),
        }
        for name, time in times.items()
    ]
    layer = sizes.network
    report.add(
        "Training step",
        "training",
        rows,
        f"{sizes.network_blocks} residual blocks of two 3×3 convolutions of {layer.out_channels} channels, "
        f"{layer.size}×{layer.size}, batch {layer.batch}, batch norm, momentum; bfloat16 activations.",
    )


def short(tile: Tiling) -> str:
    """Returns a tile in a few words."""
    sizes = [tile.rows, tile.columns] + ([tile.pixels, tile.taps] if isinstance(tile, WeightTiling) else [])
    order = f"splits={tile.splits or 'auto'}" if isinstance(tile, WeightTiling) else f"waves={tile.waves}"
    return f"{'×'.join(map(str, sizes))} stages={tile.stages} {order}"


def _error(product: Product, layer: Shape, expected: Exact, tiles: dict[Product, Tiling]) -> float:
    call = jax.jit(lambda x, w, dy: layer.product(product, products_with(tiles), x, w, dy))
    return relative_error(product, call(expected.x, expected.w, expected.dy), expected, layer)
