from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [layers]")
pytest.importorskip("onnx", reason="needs the extra [train]")

from flightsw.errors import InputError  # noqa: E402
from groundtools.export.differentiable import load  # noqa: E402

MODELS = Path(__file__).parents[3] / "models"


def test_the_classifier_in_torch_answers_as_the_one_that_flies(rng):
    onnxruntime = pytest.importorskip("onnxruntime")
    image = rng.normal(size=(1, 3, 160, 288)).astype(np.float32)
    session = onnxruntime.InferenceSession(MODELS / "rc.onnx", providers=["CPUExecutionProvider"])
    flown = session.run(None, {"frame": image})
    x = torch.from_numpy(image).requires_grad_()
    logits = load(MODELS / "rc.onnx")(x)
    np.testing.assert_allclose(logits.detach().numpy(), np.asarray(flown[0]).reshape(1, -1), atol=2e-3)
    (slope,) = torch.autograd.grad(logits[0, 0], x)
    assert torch.isfinite(slope).all()
    assert slope.abs().sum() > 0.0


def test_an_operator_that_is_not_known_is_refused_by_name(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])  # noqa: E731
    graph = helper.make_graph([helper.make_node("Erf", ["a"], ["b"])], "g", [value("a")], [value("b")])
    onnx.save(helper.make_model(graph), str(tmp_path / "x.onnx"))
    with pytest.raises(InputError, match="Erf"):
        load(tmp_path / "x.onnx")
