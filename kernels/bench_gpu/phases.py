"""The phases of the bench, each of which adds its tables to the report."""

import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
from jax import Array

from .. import reference, vjp
from ..backend import Products
from ..mosaic_gpu.tiling import WeightTiling
from ..pallas_mosaic_gpu import default_tiling
from . import network
from .check import (
    MAX_RELATIVE_ERROR,
    PRODUCTS,
    Exact,
    exact,
    random_arrays,
    relative_error,
    run_product,
)
from .layers import KEY_LAYERS, NETWORK_LAYER, OTHER_LAYERS, TINY_LAYERS, Layer
from .report import Report
from .roofline import Ceilings, floor_seconds, visited_flops
from .search import Found, Tiling, products_with, search
from .timing import Call, Deadline, copy_bandwidth, measure, peak_flops

Tiles = dict[str, dict[str, Tiling]]
REFERENCE = Products(reference.forward, reference.input_gradient, reference.weight_gradient)


@dataclass(frozen=True)
class Sizes:
    """How much to do."""

    key: tuple[Layer, ...] = KEY_LAYERS
    other: tuple[Layer, ...] = OTHER_LAYERS
    network: Layer = NETWORK_LAYER
    network_blocks: int = 4
    peak_size: int = 8192
    copy_size: int = 1 << 28
    search_seconds: float = 200.0
    search_limit: int | None = None
    search_threads: int = 8
    samples: int = 7

    @staticmethod
    def tiny() -> "Sizes":
        """Returns sizes for interpret mode."""
        return Sizes(
            key=TINY_LAYERS[:1],
            other=TINY_LAYERS[1:],
            network=Layer("tiny", 4, 8, 8, batch=1),
            network_blocks=1,
            peak_size=64,
            copy_size=1 << 10,
            search_limit=2,
            search_threads=1,
            samples=1,
        )


def ceilings(sizes: Sizes, report: Report) -> Ceilings:
    """Measures what the device can do."""
    device = jax.devices()[0]
    found = Ceilings(peak_flops(sizes.peak_size), copy_bandwidth(sizes.copy_size))
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


def correctness(sizes: Sizes, report: Report, deadline: Deadline) -> tuple[dict[str, Exact], bool, tuple[Layer, ...]]:
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
                tile = default_tiling(product, layer.x_shape, layer.w_shape, layer.y_shape, layer.strides)
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
        {"layer": name, "product": product, "tile": _short(tile)}
        for name, tiles in winners.items()
        for product, tile in tiles.items()
    ]
    report.add("Fastest tiles", "winners", rows, f"Of {len(tried)} tried; gpu.json has them all.")
    return winners


def speed(
    layers: tuple[Layer, ...],
    key: str,
    sizes: Sizes,
    report: Report,
    tiles: Tiles,
    limits: Ceilings,
    deadline: Deadline,
) -> list[dict[str, Any]]:
    """Measures forward and forward + backward against the masked dense and the equal-weights ordinary convolution."""
    ratios, products, skipped = [], [], []
    for layer in layers:
        if deadline.left < 20:
            skipped.append(layer.name)
            continue
        own = products_with(tiles.get(layer.name, {}))
        for name, call in (("forward", _forward), ("forward+backward", _forward_and_backward)):
            times = measure(
                {
                    "ours": _compiled(call, own, layer),
                    "masked": _compiled(call, REFERENCE, layer),
                    "ordinary": _compiled(call, REFERENCE, layer.equal_weights(), dense=True),
                },
                samples=sizes.samples,
            )
            ours, masked, ordinary = times["ours"], times["masked"], times["ordinary"]
            ratios.append(
                {
                    "shape": layer.name,
                    "pass": name,
                    "implementation": "pallas_mosaic_gpu",
                    "vs_masked": masked.median / ours.median,
                    "vs_equal_weights": ordinary.median / ours.median,
                    "ms": ours.median * 1e3,
                    "fastest": ours.fastest * 1e3,
                    "slowest": ours.slowest * 1e3,
                    "masked ms": masked.median * 1e3,
                    "equal weights ms": ordinary.median * 1e3,
                }
            )
        products += _product_rows(layer, own, tiles.get(layer.name, {}), limits, sizes)
    left_out = f" Not measured, out of time: {', '.join(skipped)}." if skipped else ""
    report.add(f"Speed, {key} layers", f"speed {key}", ratios, f"Above 1 is faster.{left_out}")
    report.add(
        f"Where the time goes, {key} layers",
        f"products {key}",
        products,
        "useful: operations on weights that exist. visited: what whole blocks and boxes do, over useful. floor: the "
        "roofline of the measured ceilings. mask: the pass over the weights, part of forward and input_gradient.",
    )
    return ratios


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


def _error(product: str, layer: Layer, expected: Exact, tiles: dict[str, Tiling]) -> float:
    call = jax.jit(lambda *a: run_product(product, products_with(tiles), layer, (a[0], a[1], a[2])))
    return relative_error(product, call(expected.x, expected.w, expected.dy), expected, layer)


def _forward(products: Products, layer: Layer, visible: tuple[int, ...]) -> Callable[..., Any]:
    return lambda x, w, _: vjp.conv(x, w, products, visible, layer.strides, layer.pads)


def _forward_and_backward(products: Products, layer: Layer, visible: tuple[int, ...]) -> Callable[..., Any]:
    def call(x: Array, w: Array, dy: Array) -> tuple[Array, ...]:
        y, pull = jax.vjp(lambda x, w: vjp.conv(x, w, products, visible, layer.strides, layer.pads), x, w)
        return y, *pull(dy)

    return call


def _compiled(make: Callable[..., Callable[..., Any]], products: Products, layer: Layer, dense: bool = False) -> Call:
    visible = (layer.in_channels,) * layer.out_channels if dense else layer.visible
    sets = [random_arrays(layer, seed) for seed in range(2)]
    return Call(jax.jit(make(products, layer, visible)).lower(*sets[0]).compile(), sets)


def _product_rows(
    layer: Layer, products: Products, tiles: dict[str, Tiling], limits: Ceilings, sizes: Sizes
) -> list[dict[str, Any]]:
    sets = [random_arrays(layer, seed) for seed in range(2)]
    calls = {
        product: Call(
            jax.jit(lambda *a, product=product: run_product(product, products, layer, (a[0], a[1], a[2])))
            .lower(*sets[0])
            .compile(),
            sets,
        )
        for product in PRODUCTS
    }
    calls["mask"] = Call(jax.jit(lambda x, w, dy: jnp.asarray(reference.masked(w, layer.visible))), sets)
    times = measure(calls, samples=sizes.samples)
    floor, bound = floor_seconds(layer, limits)
    rows = []
    for product in PRODUCTS:
        seconds = times[product].median
        tile = tiles.get(product) or default_tiling(product, layer.x_shape, layer.w_shape, layer.y_shape, layer.strides)
        rows.append(
            {
                "layer": layer.name,
                "product": product,
                "tile": _short(tile),
                "ms": seconds * 1e3,
                "useful TFLOP/s": layer.useful_flops / seconds / 1e12,
                "% of peak": 100 * layer.useful_flops / seconds / limits.flops,
                "visited": visited_flops(product, layer, tile) / layer.useful_flops,
                "floor ms": floor * 1e3,
                "bound by": bound,
                "mask ms": times["mask"].median * 1e3,
            }
        )
    return rows


def _short(tile: Tiling) -> str:
    sizes = [tile.rows, tile.columns] + ([tile.pixels, tile.taps] if isinstance(tile, WeightTiling) else [])
    order = f"splits={tile.splits or 'auto'}" if isinstance(tile, WeightTiling) else f"waves={tile.waves}"
    return f"{'×'.join(map(str, sizes))} stages={tile.stages} {order}"
