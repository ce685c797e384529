import numpy as np
import pytest

from flightsw.runtime.known_case import CAMERA
from flightsw.vision.detections import Detections
from flightsw.vision.preprocess import MODEL_CAMERA
from flightsw.vision.worth import FEATURES, ROWS, features_of, log_factors, weighed

SUN = np.array([1.0, 0.0, 0.0])


class Halving:
    """Stands for a network that halves every sigma, and counts its calls."""

    def __init__(self, answer=-0.6931472):
        self.calls, self.answer = 0, answer

    def run(self, x):
        assert x.shape == (ROWS, len(FEATURES))
        assert x.dtype == np.float32
        self.calls += 1
        return [np.full((ROWS, 1), self.answer, dtype=np.float32)]


def found(n, sigma=2.0):
    return Detections(
        [f"a{k}" for k in range(n)], ["33T"] * n, np.zeros(n), np.zeros(n), np.zeros(n),
        np.column_stack([np.linspace(10.0, 600.0, n), np.full(n, 300.0)]), np.full(n, 0.7), np.full(n, sigma),
    )  # fmt: skip


@pytest.mark.verifies("VIS-120")
def test_without_a_network_detections_stay_as_they_are():
    before = found(3)
    assert weighed(None, before, CAMERA, SUN) is before


@pytest.mark.verifies("VIS-120")
def test_a_network_changes_sigma_alone():
    before = found(5)
    after = weighed(Halving(), before, CAMERA, SUN)
    assert np.allclose(after.sigma_px, 0.5 * before.sigma_px)
    assert np.array_equal(after.uv_px, before.uv_px)
    assert np.array_equal(after.confidence, before.confidence)


def test_more_detections_than_a_call_takes_are_asked_in_blocks():
    network = Halving()
    assert len(log_factors(network, np.zeros((2 * ROWS + 1, len(FEATURES))))) == 2 * ROWS + 1
    assert network.calls == 3


def test_an_answer_that_is_not_finite_leaves_the_sigma_there_was():
    after = weighed(Halving(np.nan), found(2), CAMERA, SUN)
    assert np.allclose(after.sigma_px, 2.0)


def test_an_unstated_sigma_counts_as_one_model_pixel():
    scale = np.sqrt(CAMERA.fx_px * CAMERA.fy_px) / MODEL_CAMERA.fx_px
    after = weighed(Halving(), found(1, np.nan), CAMERA, SUN)
    assert after.sigma_px[0] == pytest.approx(0.5 * scale)


def test_features_say_the_angle_and_the_suns_height():
    features = features_of(found(3), CAMERA, SUN)
    column = dict(zip(FEATURES, features.T))
    assert np.allclose(column["sun"], 1.0)  # at longitude and latitude zero, the Sun overhead
    assert np.all(column["off axis"] > 0.0)
    assert np.allclose(column["crowd"], np.log(3.0))
