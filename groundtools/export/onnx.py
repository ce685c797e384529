"""From trained weights to the ONNX files that fly, with what they are for inside them."""

import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as in flightsw.vision.session

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from flightsw.errors import ModelError
from flightsw.vision.catalog import write_atomic

Floats = NDArray[np.float32]
OPSET = 17
SMALLEST_HALVED = 1024  # weights in a tensor
PARITY = 1e-4  # of the largest output: what onnxruntime may differ from torch


def onnx_bytes(
    net: nn.Module, input_shape: tuple[int, ...], outputs: tuple[str, ...], metadata: Mapping[str, str]
) -> bytes:
    """Return a network as one ONNX file, batch normalisation folded, metadata inside."""
    net = net.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own retirement
        torch.onnx.export(
            net,
            (torch.zeros(input_shape),),
            stream,  # type: ignore[arg-type]
            input_names=["frame"],
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(stream.getvalue())
    onnx.helper.set_model_props(model, dict(metadata))
    model.doc_string = "Weights under Apache-2.0; trained on NASA Blue Marble imagery and GSHHG shorelines."
    model.producer_name = "vinsat"
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def parity(net: nn.Module, data: bytes, x: Floats) -> float:
    """Return the largest difference between onnxruntime and torch, over the largest output."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: x})
    with torch.inference_mode():
        expected = net.eval()(torch.from_numpy(x))
    expected = expected if isinstance(expected, tuple) else (expected,)
    worst = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        scale = max(1.0, float(theirs.abs().max()))
        worst = max(worst, float(np.abs(ours - theirs.numpy()).max()) / scale)
    return worst


def halve_weights(data: bytes) -> bytes:
    """Return the network with its larger weights stored as float16 and cast to float32.

    Half the bytes to send up; arithmetic stays float32 (float16 is slower on a CPU), and
    the runtime does the cast once, when it loads.
    """
    model = onnx.load_from_string(data)
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALLEST_HALVED:
            continue
        name = tensor.name
        half = onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half")
        tensor.CopyFrom(half)
        casts.append(onnx.helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    halved: bytes = model.SerializeToString()
    return halved


def write_onnx(
    path: Path,
    net: nn.Module,
    input_shape: tuple[int, ...],
    outputs: tuple[str, ...],
    metadata: Mapping[str, str],
    *,
    halve: bool = False,
) -> dict[str, float]:
    """Write a network once onnxruntime agrees with torch on noise; return the differences.

    parity : before the weights are halved, rounding : after, over the largest output.
    Raises ModelError where the first is not below PARITY.
    """
    data = onnx_bytes(net, input_shape, outputs, metadata)
    x = np.random.default_rng(0).normal(0.0, 0.5, input_shape).astype(np.float32)
    found = {"parity": parity(net, data, x)}
    if not found["parity"] < PARITY:
        raise ModelError(f"onnxruntime differs from torch by {found['parity']:.1e}", file=path)
    if halve:
        data = halve_weights(data)
        found["rounding"] = parity(net, data, x)
    write_atomic(path, data)
    return found
