"""ONNX, written with the `onnx` package: Conv, Relu, MaxPool, Add, Gemm.

The converters from JAX do not install beside this library's dependencies; the steps of an ordinary network are few.
Images stay [batch, height, width, planes], as everywhere here; inside, the file is planes-first, as ONNX demands.
"""

import json
import pathlib
from typing import Any

import numpy as np

from awn_jax.export.graph import ExportError, Graph, Step, unsupported

# Read by ONNX Runtime since 1.14.
OPSET, IR_VERSION = 17, 8


def save(graph: Graph, path: pathlib.Path) -> None:
    """Writes a network with its weights, for any number of images; input `images`, output `logits`.

    Raises:
        ExportError: if the `onnx` package is not installed, or the network has an operation that is not exported.
    """
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError:
        raise ExportError("--to=onnx needs the onnx package: pip install 'awn-jax[export]'") from None
    nodes = [helper.make_node("Transpose", ["images"], ["v0"], perm=[0, 3, 1, 2])]
    weights: list[Any] = []

    def weight(name: str, array: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    for number, step in enumerate(graph.steps, 1):
        inputs = [f"v{i}" for i in step.inputs]
        output = "logits" if number == len(graph.steps) else f"v{number}"
        nodes += _nodes(helper.make_node, weight, step, inputs, output)
    classes = len(graph.steps[-1].arrays["bias"])
    floats = onnx.TensorProto.FLOAT
    body = helper.make_graph(
        nodes,
        "awn",
        [helper.make_tensor_value_info("images", floats, ["batch", *graph.image_size])],
        [helper.make_tensor_value_info("logits", floats, ["batch", classes])],
        weights,
    )
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="awn_jax"
    )
    facts = {"width": graph.width, "mean": graph.mean, "std": graph.std}
    helper.set_model_props(model, {name: json.dumps(value) for name, value in facts.items()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _nodes(node: Any, weight: Any, step: Step, inputs: list[str], output: str) -> list[Any]:
    arrays, settings, name = step.arrays, step.settings, step.name
    match step.kind:
        case "conv":
            (top, bottom), (left, right) = settings["padding"]
            kernel = weight(f"{name}.kernel", arrays["kernel"].transpose(3, 2, 0, 1))
            inputs += [kernel, weight(f"{name}.bias", arrays["bias"])]
            pads = [top, left, bottom, right]
            return [node("Conv", inputs, [output], name, strides=list(settings["strides"]), pads=pads)]
        case "affine":
            scale, bias = (weight(f"{name}.{key}", arrays[key][:, None, None]) for key in ("scale", "bias"))
            scaled = f"{output}.scaled"
            return [node("Mul", [*inputs, scale], [scaled]), node("Add", [scaled, bias], [output])]
        case "relu":
            return [node("Relu", inputs, [output])]
        case "max_pool":
            window, strides = (list(settings[key]) for key in ("window", "strides"))
            return [node("MaxPool", inputs, [output], kernel_shape=window, strides=strides)]
        case "add":
            return [node("Add", inputs, [output])]
        case "head":
            # Planes-first, a flatten is channel-major, as the head's weights are.
            kernel = arrays["kernel"].reshape(-1, arrays["kernel"].shape[-1])
            weights = [weight(f"{name}.kernel", kernel), weight(f"{name}.bias", arrays["bias"])]
            flat = f"{output}.flat"
            return [node("Flatten", inputs, [flat], axis=1), node("Gemm", [flat, *weights], [output], name)]
    raise unsupported(step, "onnx")
