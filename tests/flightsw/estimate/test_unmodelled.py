import numpy as np
import pytest

from flightsw.estimate import unmodelled
from flightsw.estimate.unmodelled import FORCE_NOISE, force_noise, grid, pull_of_force_noise


def drift(t_s: np.ndarray) -> np.ndarray:
    """Return the state-transition matrices (N, 6, 6) of a body that nothing pulls."""
    stm = np.tile(np.eye(6), (len(t_s), 1, 1))
    stm[:, :3, 3:] = t_s[:, None, None] * np.eye(3)
    return stm


def test_forty_metres_in_six_hours_and_nothing_inside_the_arc() -> None:
    sigma = np.sqrt(force_noise(np.array([-5.0, 0.0, 21_600.0, 86_400.0]))[:, 0, 0])
    np.testing.assert_allclose(sigma, [0.0, 0.0, 40.0, 320.0])  # m


@pytest.mark.verifies("EST-008")
@pytest.mark.parametrize(("step", "share"), [(unmodelled.STEP, 0.05), (5.0, 0.003)])
def test_the_pull_of_force_noise_is_that_of_its_own_covariance(
    step: float, share: float, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions measured on both sides of the epoch of a drifting body, against the integral by hand."""
    monkeypatch.setattr(unmodelled, "STEP", step)
    t_s = np.sort(rng.uniform(-5_000.0, 9_000.0, 40))
    sees = np.concatenate([rng.normal(size=(40, 2, 3)), np.zeros((40, 2, 3))], axis=2)
    jacobian = sees @ drift(t_s)
    normal = np.swapaxes(jacobian, 1, 2) @ jacobian
    instants = grid(t_s)
    ours = pull_of_force_noise(t_s, normal, instants, drift(instants))
    pull = np.swapaxes(jacobian, 1, 2) @ sees[:, :, :3]  # (N, 6, 3), on a shift of the position
    by_hand = np.zeros((6, 6))
    for i, one in enumerate(t_s):
        for j, other in enumerate(t_s):
            if one * other > 0.0:  # the two sides of the epoch have noise of their own
                a, b = np.sort(np.abs([one, other]))
                shared = FORCE_NOISE * a**2 * (b / 2.0 - a / 6.0)  # integral of (a - s)(b - s) to a
                by_hand += shared * pull[i] @ pull[j].T
    scale = np.sqrt(np.outer(np.diag(by_hand), np.diag(by_hand)))
    np.testing.assert_allclose(ours / scale, by_hand / scale, atol=share)
