import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")
pytest.importorskip("onnx", reason="training needs the extra [train]")
from flightsw.vision.session import Session  # noqa: E402
from flightsw.vision.worth import FEATURES, ROWS, log_factors  # noqa: E402
from groundtools.training.worth_train import WorthNet, worth_bytes, write_worth  # noqa: E402


@pytest.mark.verifies("VIS-121")
def test_the_network_flies_as_it_was_taught_and_is_small(tmp_path, rng):
    torch.manual_seed(0)
    net = WorthNet()
    torch.nn.init.normal_(net.head.weight)
    data = worth_bytes(net)
    assert len(data) < 200_000
    shapes = {"log_factor": (ROWS, 1)}
    session = Session(
        data, path=tmp_path / "worth.onnx", input_shape=(ROWS, len(FEATURES)), output_shapes=shapes
    )
    x = rng.standard_normal((150, len(FEATURES)))
    with torch.no_grad():
        expected = net(torch.as_tensor(x, dtype=torch.float32))[:, 0].numpy()
    assert np.allclose(log_factors(session, x), expected, atol=1e-5)


def test_an_untaught_network_says_nothing():
    with torch.no_grad():
        assert torch.all(WorthNet()(torch.randn(9, len(FEATURES))) == 0.0)


def test_it_is_written_to_a_folder_without_a_manifest(tmp_path):
    assert write_worth(WorthNet(), tmp_path / "new").is_file()
