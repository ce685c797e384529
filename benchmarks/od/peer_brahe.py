"""brahe's batch least squares: its own propagator and state-transition matrix, 20x20 gravity.

A frame is one vector measurement with an analytic Jacobian; polar motion and UT1 are those
of the flight program. Its a priori covariance (100 km, 100 m/s) hardly weighs.
"""

import brahe
import numpy as np
from problem import main

from flightsw.astro.eop import default_earth_orientation
from flightsw.camera.project import observe


class Frame(brahe.MeasurementModel):
    """The pixels of one frame's landmarks."""

    def __init__(self, camera, cam_from_eci, p_eci, sigma_px):
        """Hold p_eci (n, 3) and cam_from_eci (3, 3)."""
        super().__init__()
        self.camera, self.cam, self.p, self.sigma = camera, cam_from_eci, p_eci, sigma_px

    def predict(self, epoch, state, params=None):
        """Return pixels (2 n,)."""
        return observe(self.camera, self.cam, state[:3], self.p)[0].reshape(-1)

    def jacobian(self, epoch, state, params=None):
        """Return d(pixels)/d(state) (2 n, 6)."""
        by_position = observe(self.camera, self.cam, state[:3], self.p)[1].reshape(-1, 3)
        return np.hstack([by_position, np.zeros_like(by_position)])

    def noise_covariance(self):
        """Return white noise."""
        return self.sigma**2 * np.eye(2 * len(self.p))

    def measurement_dim(self):
        """Return 2 n."""
        return 2 * len(self.p)

    def name(self):
        """Return the name."""
        return "frame"


def solve(problem, sightings):
    """Fit by Gauss-Newton from the start."""
    here = default_earth_orientation().at(sightings.epoch)
    # brahe 1.8 takes the pole first and UT1-UTC third, whatever its parameters are called.
    provider = brahe.StaticEOPProvider.from_values(here.xp_rad, here.yp_rad, here.ut1_utc_s, 0.0, 0.0, 0.0)
    brahe.set_global_eop_provider(provider)
    epoch = brahe.Epoch.from_string(sightings.epoch.utc_iso(digits=3))
    models, seen = [], []
    for k, t in enumerate(sightings.t_s):
        rows = sightings.frame == k
        cam = sightings.pointing.given_cam_from_eci[k]
        models.append(Frame(problem.camera, cam, sightings.p_eci[rows], problem.sigma_px))
        seen.append(brahe.Observation(epoch + float(t), sightings.uv_px[rows].reshape(-1), k))
    solver = brahe.BatchLeastSquares(
        epoch,
        problem.start,
        np.diag(np.repeat([1e5, 1e2], 3) ** 2),
        propagation_config=brahe.NumericalPropagationConfig.default(),
        force_config=brahe.ForceModelConfig(gravity=brahe.GravityConfiguration.spherical_harmonic(20, 20)),
        measurement_models=models,
    )
    solver.solve(seen)
    return np.asarray(solver.current_state()), solver.iterations_completed()


if __name__ == "__main__":
    main(solve)
