"""Reduce the size of an ONNX file: store matrices as int8 with scales, other weights as float16.

The weights of a large 1 x 1 convolution are a matrix too.

Computation stays in float32. Cast and Mul nodes restore the weights, and ONNX Runtime folds them
into constants when it loads the file, so a compact network is as fast as before.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Nodes = list[onnx.NodeProto]
Weights = list[TensorProto]

SMALLEST = 4096
"""Weights with fewer values are not converted."""
SMALLEST_CONVOLUTION = 32768
"""1 x 1 convolutions with fewer values are stored as float16: they are the first layers, whose
error would be the largest, and they are a hundredth of the file."""


def compact(path: Path) -> None:
    """Rewrite an ONNX file in place with compact weights."""
    model = onnx.load(path)
    graph = model.graph
    nodes: Nodes = []
    weights: Weights = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < SMALLEST:
            weights.append(weight)
        elif values.ndim == 2 or (
            values.shape[2:] == (1, 1) and values.size >= SMALLEST_CONVOLUTION
        ):
            _int8(weight.name, values, nodes, weights)
        else:
            _half(weight.name, values, nodes, weights)
    del graph.initializer[:]
    graph.initializer.extend(weights)
    body = list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes + body)
    onnx.save(model, path)
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)  # now inside the file


def _int8(name: str, values: np.ndarray, nodes: Nodes, weights: Weights) -> None:
    # A convolution (outputs, inputs, 1, 1) has one scale per output. A matrix can be the transpose
    # of a layer: it has one scale per column or one per row, whichever has the smaller error.
    choices = [_quantise(values, axis) for axis in ((0, 1) if values.ndim == 2 else (1,))]
    codes, scale = min(choices, key=lambda c: float(np.square(c[0] * c[1] - values).sum()))
    weights.append(numpy_helper.from_array(codes, f"{name}.int8"))
    weights.append(numpy_helper.from_array(scale, f"{name}.scale"))
    nodes.append(helper.make_node("Cast", [f"{name}.int8"], [f"{name}.cast"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("Mul", [f"{name}.cast", f"{name}.scale"], [name]))


def _quantise(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes of values and their scales, one for all values along an axis."""
    scale = np.abs(values).max(axis=axis, keepdims=True) / 127.0
    scale = np.maximum(scale, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale


def _half(name: str, values: np.ndarray, nodes: Nodes, weights: Weights) -> None:
    weights.append(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
    nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
