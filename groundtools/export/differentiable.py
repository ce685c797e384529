"""A shipped ONNX classifier as a torch function, so that its input can be differentiated.

Knows the operators a torch export of EfficientNet-Lite has and refuses others by name.
Shape arithmetic (padding) runs on the same tensors as the image.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import NodeProto, numpy_helper
from torch import Tensor
from torch.nn import functional

from flightsw.errors import InputError

Operator = Callable[[dict[str, Any], list[Tensor | None]], Tensor]


def load(path: Path) -> Callable[[Tensor], Tensor]:
    """Return image (B, C, H, W) -> output of a one-input, one-output network.

    Raises InputError that names an operator it does not know.
    """
    graph = onnx.load(str(path)).graph
    unknown = {node.op_type for node in graph.node} - set(OPERATORS)
    if unknown:
        raise InputError(f"has operators that are not known here: {', '.join(sorted(unknown))}", file=path)
    fixed = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    plan = [(OPERATORS[node.op_type], _attributes(node), node) for node in graph.node]

    def run(image: Tensor) -> Tensor:
        held = {**fixed, graph.input[0].name: image}
        for operator, attributes, node in plan:
            held[node.output[0]] = operator(attributes, [held[name] if name else None for name in node.input])
        return held[graph.output[0].name]

    return run


def _attributes(node: NodeProto) -> dict[str, Any]:
    found = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if "value" in found:
        found["value"] = torch.from_numpy(numpy_helper.to_array(found["value"]).copy())
    return found


def _cast(a: dict[str, Any], i: list[Any]) -> Tensor:
    kind = onnx.helper.tensor_dtype_to_np_dtype(a["to"])
    return i[0].to(getattr(torch, str(kind)))


def _conv(a: dict[str, Any], i: list[Any]) -> Tensor:
    bias = i[2] if len(i) > 2 else None
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    padded = functional.pad(i[0], (left, right, top, bottom))
    return functional.conv2d(padded, i[1], bias, a.get("strides", [1, 1]), 0, 1, a.get("group", 1))


def _pad(a: dict[str, Any], i: list[Any]) -> Tensor:
    before, after = i[1].reshape(2, -1).tolist()
    pairs = [width for pair in zip(reversed(before), reversed(after)) for width in pair]
    return functional.pad(i[0], pairs)


def _slice(a: dict[str, Any], i: list[Any]) -> Tensor:
    out = i[0]
    steps = i[4].tolist() if len(i) > 4 else [1] * len(i[1])
    for start, end, axis, step in zip(i[1].tolist(), i[2].tolist(), i[3].tolist(), steps):
        places = range(out.shape[axis])[slice(start, max(end, -out.shape[axis] - 1), step)]
        if step < 0 and end < -out.shape[axis]:
            places = range(out.shape[axis])[start::step]
        out = out.index_select(axis, torch.tensor(list(places), dtype=torch.int64))
    return out


def _clip(a: dict[str, Any], i: list[Any]) -> Tensor:
    return i[0].clamp(float(i[1]), float(i[2]))


def _mean(a: dict[str, Any], i: list[Any]) -> Tensor:
    axes = a["axes"] if "axes" in a else i[1].tolist()
    return i[0].mean(dim=tuple(axes), keepdim=bool(a.get("keepdims", 1)))


def _gemm(a: dict[str, Any], i: list[Any]) -> Tensor:
    return i[0] @ (i[1].T if a.get("transB") else i[1]) + i[2]


OPERATORS: dict[str, Operator] = {
    "Add": lambda a, i: i[0] + i[1],
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda a, i: torch.cat(i, dim=a["axis"]),
    "Constant": lambda a, i: a["value"],
    "ConstantOfShape": lambda a, i: a["value"].expand(i[0].tolist()).clone(),
    "Conv": _conv,
    "Gemm": _gemm,
    "Pad": _pad,
    "ReduceMean": _mean,
    "Reshape": lambda a, i: i[0].reshape(i[1].tolist()),
    "Slice": _slice,
    "Transpose": lambda a, i: i[0].permute(*a["perm"]),
}  # fmt: skip
