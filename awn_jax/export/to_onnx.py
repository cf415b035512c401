"""ONNX, written with the `onnx` package.

The converters from JAX do not install beside this library's dependencies; the steps of an ordinary network are few.
Images stay [batch, height, width, planes], as everywhere here; inside, the file is planes-first, as ONNX demands: a value
[B, ..., C] here is [B, C, ...] there.
"""

import functools
import importlib.util
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from awn_jax.export import manifest, pointwise
from awn_jax.export.checks import ExportError
from awn_jax.export.graph import Graph, Step

# Read by ONNX Runtime since 1.14.
OPSET, IR_VERSION = 17, 8
# A protobuf message holds less than 2 GiB.
MOST_BYTES = (1 << 31) - (1 << 24)


def save(graph: Graph, path: pathlib.Path) -> None:
    """Writes a network with its weights, for any number of images; input `images`, output `logits`; and its manifest.

    Args:
        graph: of `lowered`.
        path: of the file.

    Raises:
        ExportError: if the `onnx` package is not installed, or the network is too large for the format.
    """
    check_installed()
    import onnx
    from onnx import helper

    if sum(array.nbytes for step in graph.steps for array in step.arrays.values()) > MOST_BYTES:
        raise ExportError("an ONNX file holds less than 2 GiB, the network has more weights: --to=stablehlo takes them")
    # As here, the channels come last in what the file gives; with pixels in front of them, that is a last transpose.
    flat = len(graph.shapes[-1]) == 1
    names = ["v0", *(f"v{number}" for number in range(1, len(graph.steps))), "logits" if flat else "planes_first"]
    writer = _Writer()
    writer.node("Transpose", ["images"], "v0", perm=[0, 3, 1, 2])
    for step, output in zip(graph.steps, names[1:], strict=True):
        writer.step(step, [names[i] for i in step.inputs], output, len(graph.shapes[step.inputs[0]]))
    if not flat:
        writer.node("Transpose", ["planes_first"], "logits", perm=[0, *range(2, len(graph.shapes[-1]) + 1), 1])
    floats = onnx.TensorProto.FLOAT
    body = helper.make_graph(
        writer.nodes,
        "awn",
        [helper.make_tensor_value_info("images", floats, ["batch", *graph.image_size])],
        [helper.make_tensor_value_info("logits", floats, ["batch", *graph.shapes[-1]])],
        writer.weights,
    )
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="awn_jax"
    )
    facts = {"width": graph.width, "mean": graph.mean, "std": graph.std}
    helper.set_model_props(model, {name: json.dumps(value) for name, value in facts.items()})
    onnx.checker.check_model(model, full_check=True)
    manifest.write(path, "onnx", graph, model.SerializeToString())


def check_installed() -> None:
    """Raises ExportError unless the `onnx` package is installed."""
    if importlib.util.find_spec("onnx") is None:
        raise ExportError("--to=onnx needs the onnx package: pip install 'awn-jax[export]'")


class _Writer:
    """Collects the nodes and the weights of a file."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Adds an operation; returns the name of its result."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def array(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        """Adds an array; returns its name."""
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.array(values, dtype, order="C"), name))
        return name

    def step(self, step: Step, inputs: list[str], output: str, rank: int) -> None:
        """Adds a step.

        Args:
            step: the step.
            inputs: names of what it reads.
            output: name of what it gives.
            rank: number of axes of its first input for one image.
        """
        settings, (x, *_) = step.settings, inputs
        pixels = range(2, rank + 1)
        weights = {name: functools.partial(self.array, f"{step.name}.{name}") for name in step.arrays}
        kernel, bias = step.arrays.get("kernel"), step.arrays.get("bias")
        match step.kind:
            case "conv":
                assert kernel is not None
                more = [weights["kernel"](kernel.transpose(3, 2, 0, 1)), weights["bias"](bias)]
                self.node("Conv", [x, *more], output, **_windows(settings), dilations=settings["dilation"])
            case "depthwise":
                assert kernel is not None
                more = [weights["kernel"](kernel.transpose(2, 0, 1)[:, None]), weights["bias"](bias)]
                self.node("Conv", [x, *more], output, **_windows(settings), group=kernel.shape[-1])
            case "dense":
                assert kernel is not None
                # A convolution of single pixels.
                taps = (1,) * (rank - 1)
                more = [weights["kernel"](kernel.T.reshape(*kernel.shape[::-1], *taps)), weights["bias"](bias)]
                if rank == 1:
                    self.node("Gemm", [x, *more], output, transB=1)
                else:
                    self.node("Conv", [x, *more], output)
            case "head":
                assert kernel is not None
                # Planes-first, a flatten is channel-major, as the head's weights are.
                more = [weights["kernel"](kernel.reshape(-1, kernel.shape[-1])), weights["bias"](bias)]
                self.node("Gemm", [self.node("Flatten", [x], f"{output}.flat", axis=1), *more], output)
            case "affine":
                spread = (-1,) + (1,) * (rank - 1)
                scale, shift = (weights[name](step.arrays[name].reshape(spread)) for name in ("scale", "bias"))
                self.node("Add", [self.node("Mul", [x, scale], f"{output}.scaled"), shift], output)
            case "activation":
                self._activation(settings["function"], x, output)
            case "pointwise":
                function = pointwise.FUNCTIONS[settings["function"]]
                constant = functools.partial(self.array, f"{output}.constant")
                self.node(
                    function.onnx,
                    pointwise.filled(settings["operands"], inputs, constant),
                    output,
                    **function.attributes,
                )
            case "max_pool":
                self.node("MaxPool", [x], output, **_windows(settings), kernel_shape=settings["window"])
            case "mean_pool":
                window = {**_windows(settings), "kernel_shape": settings["window"]}
                self.node("AveragePool", [x], output, **window, count_include_pad=1)
            case "upsample":
                scales = self.array(f"{output}.scales", [1, 1, *settings["factor"]])
                # An empty name stands for an input that is left out.
                self.node("Resize", [x, "", scales], output, **_NEAREST)
            case "mean":
                self.node("ReduceMean", [x], output, axes=list(pixels), keepdims=int(settings["keepdims"]))
            case "sum":
                axes = self.array(f"{output}.axes", list(pixels), np.int64)
                self.node("ReduceSum", [x, axes], output, keepdims=int(settings["keepdims"]))
            case "reshape":
                # Zeros stand for the batch and the channels as they are.
                self.node("Reshape", [x, self.array(f"{output}.shape", [0, 0, *settings["pixels"]], np.int64)], output)
            case "add":
                # Sum takes any number of inputs.
                self.node("Add" if len(inputs) == 2 else "Sum", inputs, output)
            case "concat":
                order = self.array(f"{output}.order", settings["order"], np.int64)
                side_by_side = self.node("Concat", inputs, f"{output}.joined", axis=1)
                self.node("Gather", [side_by_side, order], output, axis=1)
            case "identity":
                self.node("Identity", [x], output)
            case _:
                raise ExportError(f"an ONNX file has no {step.kind}")

    def _activation(self, function: str, x: str, output: str) -> None:
        match function:
            case "relu6":
                low, high = self.array(f"{output}.low", 0), self.array(f"{output}.high", 6)
                self.node("Clip", [x, low, high], output)
            case "silu":
                self.node("Mul", [x, self.node("Sigmoid", [x], f"{output}.sigmoid")], output)
            case _:
                self.node({"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}[function], [x], output)


# A pixel reads the one that it was made of.
_NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def _windows(settings: Mapping[str, Any]) -> dict[str, Any]:
    (top, bottom), (left, right) = settings["padding"]
    return {"strides": settings["strides"], "pads": [top, left, bottom, right]}
