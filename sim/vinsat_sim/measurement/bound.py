"""The Cramer-Rao bound of what a satellite saw: no estimator without bias does better.

At the true orbit, with J_i the Jacobian of detection i by the unknowns x that an
estimator has (state, drag scale, pointing offset ...) and L its priors,
    I = sum_i J_i' J_i / s^2 + L
where s^2 is the inverse of a detection's Fisher information per axis: sigma^2 for white
noise, and for Student's t of nu degrees in two dimensions with scale sigma
    s^2 = sigma^2 (nu + 4) / (nu + 2).
Biases that a landmark has for a pass, or all detections of a pass have, are unknowns with
priors tau^2 and pi^2, eliminated exactly: with n_c detections in a cluster c of one
landmark and S_c the sum of their J_i / s, rho = tau^2 / s^2,
    I -= sum_c rho / (1 + rho n_c) S_c' S_c,
and then, with S_p = sum_c S_c / (1 + rho n_c), n_p = sum_c n_c / (1 + rho n_c) of a pass,
kappa = pi^2 / s^2,
    I -= sum_p kappa / (1 + kappa n_p) S_p' S_p.
Pointing that varies is eliminated by its chain. Bad detections are to be left out by the
caller: the bound is that of an estimator that knows them. What forces leave out is not
in it. Source: Van Trees, Detection, Estimation, and Modulation Theory I, 1968, 2.4.3;
Lange, Little, Taylor, J. Am. Stat. Assoc. 84 (1989) for the t.
"""

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import propagate
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.pose_fit import vector_from_rotation
from flightsw.estimate.batch import EstimatorOptions
from flightsw.estimate.normal_equations import Linearised, Problem
from flightsw.estimate.orbit_fit import (
    DRAG,
    DRIFT,
    FOCAL,
    OFFSET,
    SIZE,
    STATE,
    UNIT,
    FitSetup,
    residual_and_jacobian,
)
from flightsw.estimate.sightings import Sightings, numbered, prepare_sightings
from vinsat_sim.measurement.conditions import CAMERA
from vinsat_sim.measurement.detector import DetectorErrors
from vinsat_sim.measurement.satellite import Satellite
from vinsat_sim.measurement.trial import check_times, options

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def bound_km(
    satellite: Satellite,
    errors: DetectorErrors,
    *,
    attitude_given: bool,
    how: EstimatorOptions | None = None,
    good: BoolArray | None = None,
) -> float:
    """Return the bound of the RMS position error over the satellite's arc, km.

    how : the estimator's options, whose priors and unknowns count; good (N,) : the
    sightings that are not bad, all where not given. Infinite where the sightings do not
    determine an orbit. Raises ValueError for biases together with pointing that varies.
    """
    if good is not None:
        satellite = satellite.subset(good)
    if len(satellite.image) == 0:
        return float("inf")
    how = how or options()
    seen = satellite.reported(satellite.uv_px)
    sightings = prepare_sightings(seen, CAMERA, satellite.attitude() if attitude_given else None)
    setup = known_of(how, attitude_given=attitude_given)
    t_s = float(sightings.t_s[len(sightings.t_s) // 2])
    x = true_unknowns(satellite, t_s)
    information = _information(satellite, sightings, setup, errors, t_s, x)
    unit = UNIT[setup.free]
    scale = 1.0 / np.sqrt(np.diag(information))
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    if values[0] < 1e-13:
        return float("inf")
    covariance = (vectors / values) @ vectors.T * np.outer(scale * unit, scale * unit)
    full = np.zeros((SIZE, SIZE))
    full[np.ix_(setup.free, setup.free)] = covariance
    instants = check_times(satellite.truth) - t_s
    orbit = propagate(setup.forces, sightings.epoch + t_s, x[:6], 1.0, instants, with_stm=True)
    assert orbit.stm is not None
    position = orbit.stm[:, :3]
    variance = np.einsum("tij,jk,tik->t", position, full[:7, :7], position)
    return float(np.sqrt(np.mean(variance)) / 1e3)


def known_of(how: EstimatorOptions, *, attitude_given: bool) -> FitSetup:
    """Return what an estimator with these options estimates, and its priors.

    As the estimator has it where every frame has an exact attitude, or none has one.
    """
    parts = [
        (DRAG, how.drag_sigma),
        (OFFSET, 0.0 if attitude_given else how.pointing_sigma),
        (FOCAL, how.focal_sigma),
        (DRIFT, how.clock_drift_sigma),
    ]
    used = [(index, sigma) for index, sigma in parts if sigma > 0.0]
    information = np.zeros((SIZE, SIZE))
    for index, sigma in used:
        information[index, index] = sigma**-2
    mean = np.zeros(SIZE)
    mean[DRAG] = 1.0
    free = np.concatenate([STATE, *(index for index, _ in used)])
    slow = 0.0 if attitude_given else how.slow_pointing_sigma
    return FitSetup(how.forces, free, mean, information, slow, how.slow_pointing_s)


def true_unknowns(satellite: Satellite, t_s: float) -> Array:
    """Return x (13,) at the instant t_s of an image: the true state, nominal otherwise."""
    x = np.zeros(SIZE)
    x[:6] = satellite.truth.state_eci[np.searchsorted(satellite.truth.t_s, t_s - 1e-6)]
    x[DRAG] = 1.0
    return x


def true_pointing(satellite: Satellite, images: NDArray[np.intp]) -> Array:
    """Return how the body departed from the nadir frame (F, 3), rad, body axes."""
    truth = satellite.truth
    nadir = body_from_ecef_nadir(truth.r_ecef[images], truth.v_inertial_ecef[images])
    turned = CAMERA.cam_from_body.T @ satellite.cam_from_ecef[images] @ np.swapaxes(nadir, 1, 2)
    return vector_from_rotation(turned)


def _information(
    satellite: Satellite, sightings: Sightings, setup: FitSetup, errors: DetectorErrors, t_s: float, x: Array
) -> Array:
    """Return I (n, n) in the units of the solver."""
    nadir = sightings.pointing.is_nadir.all()
    delta = true_pointing(satellite, np.unique(satellite.image)) if nadir else None
    _, by_x = residual_and_jacobian(sightings, setup.forces, t_s, x, delta)
    seen = np.isfinite(by_x).all(axis=(1, 2))  # at the very limb it may not be
    by_x = np.where(seen[:, None, None], by_x, 0.0) / effective_sigma(errors)
    jacobian = by_x[:, :, setup.free] * UNIT[setup.free]
    priors = setup.prior_information[np.ix_(setup.free, setup.free)]
    priors = priors * np.outer(UNIT[setup.free], UNIT[setup.free])
    chain = setup.chain(sightings)
    if chain is None:
        return priors + _of_detections(sightings, jacobian, errors)
    if errors.landmark_px > 0.0 or errors.pass_px > 0.0:
        raise ValueError("the bound knows biases or pointing that varies, not both")
    flat = Linearised(np.zeros(by_x.shape[:2]), jacobian, by_x[:, :, OFFSET])
    n, frames = len(setup.free), len(sightings.t_s)
    problem = Problem(lambda z, d: flat, np.zeros(n), priors, chain, sightings.frame)
    point = problem.at(np.zeros(n), np.zeros((frames, 3)))
    return problem.normal_equations(point, np.ones(len(by_x)), 1.0).schur()[0]


def effective_sigma(errors: DetectorErrors) -> float:
    """Return s, px per axis: white noise of this sigma holds as much information."""
    if not np.isfinite(errors.tails):
        return errors.noise_px
    return float(errors.noise_px * np.sqrt((errors.tails + 4.0) / (errors.tails + 2.0)))


def _of_detections(sightings: Sightings, jacobian: Array, errors: DetectorErrors) -> Array:
    """Return sum J'J (n, n), J (N, 2, n) whitened, less what shared biases take."""
    rows = jacobian.reshape(-1, jacobian.shape[2])
    information = rows.T @ rows
    variance = effective_sigma(errors) ** 2
    rho, kappa = errors.landmark_px**2 / variance, errors.pass_px**2 / variance
    pass_of = sightings.pass_index[sightings.frame]
    cluster = numbered(np.stack([pass_of, sightings.landmark]), axis=1)
    count = np.bincount(cluster).astype(np.float64)
    held = 1.0 / (1.0 + rho * count)
    sums = np.zeros((len(count), *jacobian.shape[1:]))
    np.add.at(sums, cluster, jacobian)
    information -= np.einsum("c,cai,caj->ij", rho * held, sums, sums)
    first = np.zeros(len(count), dtype=np.intp)
    first[cluster] = pass_of
    passes = numbered(first)
    of_pass = np.zeros((int(passes.max()) + 1, *jacobian.shape[1:]))
    np.add.at(of_pass, passes, held[:, None, None] * sums)
    weight = kappa / (1.0 + kappa * np.bincount(passes, weights=held * count))
    return np.asarray(information - np.einsum("p,pai,paj->ij", weight, of_pass, of_pass))
