import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the layers need the extra [layers]")
from dataclasses import replace  # noqa: E402

from flightsw.astro.forces import Forces  # noqa: E402
from flightsw.estimate.batch import EstimatorOptions, fit_setup  # noqa: E402
from flightsw.estimate.orbit_fit import SIZE, UNIT, fit_orbit, residual_and_jacobian  # noqa: E402
from flightsw.estimate.sightings import prepare_sightings  # noqa: E402
from flightsw.estimate.solver import SolverOptions  # noqa: E402
from groundtools.layers.core import check_gradient  # noqa: E402
from groundtools.layers.orbit import HeldKernel, OrbitLayer  # noqa: E402
from groundtools.layers.twins import dynamics  # noqa: E402
from groundtools.layers.twins.camera import body_from_ecef_nadir, pixel_from_camera_point  # noqa: E402
from groundtools.layers.twins.rotations import rotation_and_left_jacobian  # noqa: E402


def arc(rng, *, outliers=0.0, forces=None):
    """Return a layer over two passes' sightings under the forces, and the truth (13,)."""
    from flightsw.astro.elements import Elements, state_from_elements
    from flightsw.astro.geodesy import lla_from_ecef
    from flightsw.astro.rotation import ecef_from_eci
    from flightsw.astro.time import Epoch
    from flightsw.camera.model import Camera
    from flightsw.estimate.observations import Observations

    camera = Camera(width_px=4608, height_px=2592, fx_px=3547.85, fy_px=3547.85, cx_px=2304.0, cy_px=1296.0)
    forces = forces or Forces.j2()
    epoch = Epoch.from_utc("2025-06-01T00:00:00Z")
    t_s = np.concatenate([np.arange(0.0, 121.0, 40.0), 5600.0 + np.arange(0.0, 121.0, 40.0)])
    state = state_from_elements(Elements(6.9e6, 0.001, 1.6, 0.3, 0.2, 0.5))
    x = np.zeros(SIZE)
    x[:6], x[6] = state, 1.0
    frame = np.repeat(np.arange(len(t_s)), 6)
    from flightsw.astro.propagate import propagate

    below = propagate(forces, epoch, state, 1.0, t_s).state[:, :3]
    to_ecef = np.asarray(ecef_from_eci(epoch, t_s)).reshape(-1, 3, 3)
    lat, lon, _ = lla_from_ecef(np.einsum("fij,fj->fi", to_ecef, below))
    n = len(frame)
    found = Observations.build(
        epoch=epoch, t_s=t_s[frame], landmark_id=np.arange(n).astype(np.str_),
        lon_deg=np.degrees(lon[frame]) + rng.uniform(-1.0, 1.0, n),
        lat_deg=np.degrees(lat[frame]) + rng.uniform(-0.6, 0.6, n),
        height_m=np.zeros(n), uv_px=np.tile([2304.0, 1296.0], (n, 1)),
    )  # fmt: skip
    sightings = prepare_sightings(found, camera, None)
    options = EstimatorOptions(forces=forces, pointing_sigma=1e-4)
    setup = fit_setup(sightings, options)
    # Some information on everything, as the final fit adds: the normal equations stay regular
    information, mean = setup.prior_information.copy(), setup.prior_mean.copy()
    information[np.arange(6), np.arange(6)] += 1.0 / np.array([5e6] * 3 + [4e3] * 3) ** 2
    mean[:6] = state
    setup = replace(setup, prior_mean=mean, prior_information=information)
    e, _ = residual_and_jacobian(sightings, forces, 0.0, x)
    uv = sightings.uv_px - e + 4.0 * rng.standard_normal((n, 2))
    wild = rng.random(n) < outliers
    uv[wild] += rng.uniform(-40.0, 40.0, (int(wild.sum()), 2))
    return OrbitLayer(replace(sightings, uv_px=uv), setup, 0.0), x


@pytest.mark.verifies("LAY-023")
def test_the_optimum_is_the_flight_programs(rng):
    layer, truth = arc(rng, outliers=0.2)
    weight = torch.as_tensor(rng.uniform(0.3, 1.0, len(layer.sightings)))
    flown = replace(layer.sightings, sigma_px=layer.sightings.sigma_px / np.sqrt(weight.numpy()))
    tight = SolverOptions(max_iterations=80, first_iteration=8, tolerance=1e-9)
    fit = fit_orbit(flown, 0.0, truth, layer.setup, tight)
    kernel = HeldKernel(fit.solver.shape, fit.solver.scale, fit.solver.sigma)
    point = layer(weight, truth, kernel=kernel)
    assert point.converged
    scale = np.linalg.norm(truth[:3]), np.linalg.norm(truth[3:6])
    assert np.linalg.norm(point.x.numpy()[:3] - fit.x[:3]) < 1e-6 * scale[0]
    assert np.linalg.norm(point.x.numpy()[3:6] - fit.x[3:6]) < 1e-6 * scale[1]


@pytest.mark.verifies("LAY-021")
@pytest.mark.parametrize("outliers", [0.0, 0.3])
def test_the_orbits_gradient_is_that_of_finite_differences(rng, outliers):
    layer, truth = arc(rng, outliers=outliers)
    kernel = HeldKernel(-1.0, 2.0, 0.7)
    weight = torch.as_tensor(rng.uniform(0.3, 1.0, len(layer.sightings)))
    unit = torch.as_tensor(UNIT)
    by_weight = check_gradient(
        lambda w: layer(w, truth, kernel=kernel).x / unit, weight, step=1e-4, directions=3
    )
    assert by_weight.passed(1e-5), by_weight
    uv = torch.as_tensor(layer.sightings.uv_px)
    by_pixel = check_gradient(
        lambda p: layer(weight, truth, uv_px=p, kernel=kernel).x / unit, uv, step=1e-6, directions=3
    )
    assert by_pixel.passed(1e-5), by_pixel


def test_gauss_newtons_gradient_errs_with_outliers(rng):
    layer, truth = arc(rng, outliers=0.3)
    kernel = HeldKernel(-1.0, 2.0, 0.7)
    weight = torch.as_tensor(rng.uniform(0.3, 1.0, len(layer.sightings)))
    short = replace(layer, full_hessian=False)
    report = check_gradient(
        lambda w: short(w, truth, kernel=kernel).x / torch.as_tensor(UNIT), weight, step=1e-4, directions=3
    )
    assert report.errors[0] > 1e-3


def test_the_hessian_is_autograds_through_the_twins(rng):
    forces = Forces(degree=2, drag=False, third_body=False)
    layer, truth = arc(rng, forces=forces)
    sightings = layer.sightings.select(layer.sightings.frame < 2)
    layer = replace(layer, sightings=sightings, setup=replace(layer.setup, free=np.arange(6)))
    kernel = HeldKernel(2.0, 1.0, 1.0)
    n, unit = len(sightings), torch.as_tensor(UNIT[:6])
    camera, to_ecef = sightings.camera, torch.as_tensor(sightings.pointing.ecef_from_eci)
    p = torch.as_tensor(sightings.p_eci)

    def cost(z):
        x = z * unit
        states = [x, dynamics.step(forces, sightings.epoch, 0.0, x, float(sightings.t_s[1]))]
        total = 0.0
        for f, s in enumerate(states):
            rows = torch.as_tensor(sightings.frame == f)
            body = body_from_ecef_nadir(to_ecef[f] @ s[:3], to_ecef[f] @ s[3:])
            turn = torch.as_tensor(camera.cam_from_body) @ body @ to_ecef[f]
            uv = pixel_from_camera_point(camera, (p[rows] - s[:3]) @ turn.T)
            e = (torch.as_tensor(sightings.uv_px)[rows] - uv) / torch.as_tensor(sightings.sigma_px)[
                rows, None
            ]
            total = total + 0.5 * e.square().sum()
        move = z - torch.as_tensor(layer.setup.prior_mean[:6]) / unit
        return total + 0.5 * move @ torch.as_tensor(layer._information()) @ move

    z = torch.as_tensor(truth[:6]) / unit
    assert layer.cost(np.ones(n), truth, kernel) == pytest.approx(float(cost(z)), rel=1e-8)
    slope = torch.func.grad(cost)(z)
    assert np.allclose(layer.slope(np.ones(n), truth, kernel)[0], slope.numpy(), rtol=1e-6, atol=1e-6)
    assert rotation_and_left_jacobian(torch.zeros(3))[0].trace() == 3.0


def test_predicted_pixels_and_states_carry_their_jacobians(rng):
    layer, truth = arc(rng)
    x = torch.as_tensor(truth).requires_grad_()
    e, jacobian = residual_and_jacobian(layer.sightings, layer.setup.forces, 0.0, truth)
    uv = layer.predicted(x)
    assert np.allclose(uv.detach().numpy(), layer.sightings.uv_px - e)
    (grad,) = torch.autograd.grad(uv[3, 1], x)
    assert np.allclose(grad.numpy(), -jacobian[3, 1])
    assert layer.states(x)[-1, :3].norm().item() == pytest.approx(6.9e6, rel=0.01)


def test_a_chain_of_pointing_errors_is_refused(rng):
    layer, _ = arc(rng)
    with pytest.raises(ValueError, match="chain"):
        replace(layer, setup=replace(layer.setup, slow_sigma=1e-3))
