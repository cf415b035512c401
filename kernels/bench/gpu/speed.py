"""The last of the bench: how fast the layers are, and where the time goes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ... import reference, vjp
from ...backend import PRODUCTS, Product, Products
from ...mosaic_gpu.config import Tiling
from ...mosaic_gpu.ops import default_config
from ...shapes import Shape
from ...timing import Call, Deadline, interleaved
from ..roofline import Chip, moved_bytes
from .check import random_arrays
from .layers import Sizes
from .phases import REFERENCE, Tiles, short
from .report import Report
from .search import products_with
from .visited import visited_flops

SAMPLE_SECONDS = 0.04


def speed(
    layers: tuple[Shape, ...],
    key: str,
    sizes: Sizes,
    report: Report,
    tiles: Tiles,
    chip: Chip,
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
            times = interleaved(
                {
                    "ours": _compiled(call, own, layer),
                    "masked": _compiled(call, REFERENCE, layer),
                    "ordinary": _compiled(call, REFERENCE, layer.ordinary(multiple=8)),
                },
                sizes.samples,
                sample_seconds=SAMPLE_SECONDS,
            )
            ours, masked, ordinary = times["ours"], times["masked"], times["ordinary"]
            ratios.append(
                {
                    "shape": layer.name,
                    "pass": name,
                    "implementation": "pallas_mosaic_gpu",
                    "vs_masked": ours.speed_against(masked),
                    "vs_equal_weights": ours.speed_against(ordinary),
                    "ms": ours.median * 1e3,
                    "±": ours.spread,
                    "masked ms": masked.median * 1e3,
                    "equal weights ms": ordinary.median * 1e3,
                }
            )
        products += _product_rows(layer, own, tiles.get(layer.name, {}), chip, sizes)
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


def floor_seconds(layer: Shape, chip: Chip) -> tuple[float, str]:
    """Returns the least time of one product and what sets it: the arithmetic, or moving each tensor once."""
    arithmetic, memory = chip.seconds(2 * layer.useful_macs, moved_bytes(layer))
    return max((arithmetic, "arithmetic"), (memory, "memory"))


def _forward(products: Products, layer: Shape) -> Callable[..., Any]:
    return lambda x, w, _: vjp.conv(x, w, products, layer.visible, layer.strides, layer.pads)


def _forward_and_backward(products: Products, layer: Shape) -> Callable[..., Any]:
    def call(x: Array, w: Array, dy: Array) -> tuple[Array, ...]:
        y, pull = jax.vjp(lambda x, w: vjp.conv(x, w, products, layer.visible, layer.strides, layer.pads), x, w)
        return y, *pull(dy)

    return call


def _compiled(make: Callable[..., Callable[..., Any]], products: Products, layer: Shape) -> Call:
    sets = [random_arrays(layer, seed) for seed in range(2)]
    return Call(jax.jit(make(products, layer)).lower(*sets[0]).compile(), sets)


def _product_rows(
    layer: Shape, products: Products, tiles: dict[Product, Tiling], chip: Chip, sizes: Sizes
) -> list[dict[str, Any]]:
    sets = [random_arrays(layer, seed) for seed in range(2)]
    calls: dict[str, Call] = {}
    for product in PRODUCTS:
        call = jax.jit(lambda x, w, dy, product=product: layer.product(product, products, x, w, dy))
        calls[product] = Call(call.lower(*sets[0]).compile(), sets)
    calls["mask"] = Call(jax.jit(lambda x, w, dy: jnp.asarray(reference.masked(w, layer.visible))), sets)
    times = interleaved(calls, sizes.samples, sample_seconds=SAMPLE_SECONDS)
    flops = 2 * layer.useful_macs
    floor, bound = floor_seconds(layer, chip)
    rows = []
    for product in PRODUCTS:
        seconds = times[product].median
        tile = tiles.get(product) or default_config(product, layer.x_shape, layer.w_shape, layer.y_shape, layer.strides)
        rows.append(
            {
                "layer": layer.name,
                "product": product,
                "tile": short(tile),
                "ms": seconds * 1e3,
                "useful TFLOP/s": flops / seconds / 1e12,
                "% of peak": 100 * flops / seconds / chip.flops,
                "visited": visited_flops(product, layer, tile) / flops,
                "floor ms": floor * 1e3,
                "bound by": bound,
                "mask ms": times["mask"].median * 1e3,
            }
        )
    return rows
