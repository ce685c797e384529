"""Propagation: its matrix is the derivative of its numbers; its numbers converge."""

import numpy as np
import pytest

from flightsw.astro.elements import Elements, elements_from_state, state_from_elements
from flightsw.astro.gravity import GM_EARTH, J2, R_EARTH
from flightsw.astro.propagate import Forces, Trajectory, propagate, propagate_batch, step
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.time import Epoch

EPOCH = Epoch.from_utc("2026-03-01T12:00:00Z")
SIX_HOURS = 21_600.0  # s
EVERYTHING = Forces(third_body=True)


def orbit(altitude=5.5e5, inclination_deg=97.5):
    return state_from_elements(
        Elements(R_EARTH + altitude, 0.004, np.radians(inclination_deg), 1.0, 2.0, 0.3)
    )


def stm_error(f, exact, x):
    """Return the largest error of a matrix (6, 7) against differences of f, relative to 1e-7.

    Columns one by one, positions and velocities apart, each relative to its largest entry,
    beyond what the rounding of the states themselves puts into a difference.
    """
    steps = np.array([80.0, 80.0, 80.0, 0.08, 0.08, 0.08, 0.2])  # m, m/s, 1
    worst = 0.0
    for column, h in enumerate(steps):
        d = np.zeros(7)
        d[column] = h
        # Five points: the error is of fourth order, so steps may be large against rounding.
        numeric = (8.0 * (f(x + d) - f(x - d)) - (f(x + 2 * d) - f(x - 2 * d))) / (12.0 * h)
        for rows, rounding in ((slice(0, 3), 1e-8), (slice(3, 6), 1e-11)):  # m, m/s
            error = np.abs(numeric[rows] - exact[rows, column]).max()
            worst = max(worst, error / (1e-7 * np.abs(exact[rows, column]).max() + rounding / h))
    return worst


@pytest.mark.verifies("AST-008")
@pytest.mark.parametrize("forces", [Forces.j2(), Forces(drag=False), EVERYTHING])
@pytest.mark.parametrize("altitude", [2.55e5, 5.55e5])
def test_the_matrix_is_the_derivative_of_the_discrete_map(forces, altitude):
    t = np.array([-9000.0, -100.0, 0.0, 77.0, 5000.0, SIX_HOURS])
    x = np.append(orbit(altitude, 51.6), 1.3)
    exact = propagate(forces, EPOCH, x[:6], x[6], t, with_stm=True).stm
    for k in range(len(t)):

        def at(x, k=k):
            return propagate(forces, EPOCH, x[:6], x[6], t[k : k + 1]).state[0]

        assert stm_error(at, exact[k], x) < 1.0, t[k]


@pytest.mark.verifies("AST-008")
@pytest.mark.parametrize("dt_s", [150.0, -60.0, 1.0])
def test_the_matrix_of_one_step_is_its_derivative(dt_s):
    x = np.append(orbit(3.5e5, 51.6), 0.7)
    x1, matrix = step(EVERYTHING, EPOCH, 100.0, x[:6], dt_s, x[6])
    same = propagate(EVERYTHING, EPOCH + 100.0, x[:6], x[6], np.array([dt_s])).state[0]
    np.testing.assert_allclose(x1, same, atol=1e-5)  # m: one long and one short step
    assert stm_error(lambda x: step(EVERYTHING, EPOCH, 100.0, x[:6], dt_s, x[6])[0], matrix, x) < 1.0


@pytest.mark.verifies("AST-008")
def test_coarse_steps_still_have_an_exact_matrix():
    t = np.array([SIX_HOURS])
    x = np.append(orbit(), 1.0)

    def coarse(x):
        return propagate(Forces(), EPOCH, x[:6], x[6], t, step_s=900.0).state[0]

    fine = propagate(Forces(), EPOCH, x[:6], 1.0, t).state[0]
    assert 0.1 < np.linalg.norm(coarse(x)[:3] - fine[:3]) < 100.0  # m: the map is not the flow
    exact = propagate(Forces(), EPOCH, x[:6], 1.0, t, with_stm=True, step_s=900.0).stm[0]
    assert stm_error(coarse, exact, x) < 1.0


@pytest.mark.verifies("AST-007")
@pytest.mark.parametrize("altitude", [2.6e5, 5.5e5, 1.19e6])
def test_the_default_step_is_converged_to_a_millimetre(altitude):
    t = np.linspace(-SIX_HOURS, SIX_HOURS, 300)
    coarse = propagate(EVERYTHING, EPOCH, orbit(altitude), 1.0, t)
    fine = propagate(EVERYTHING, EPOCH, orbit(altitude), 1.0, t, step_s=60.0)
    np.testing.assert_allclose(coarse.state[:, :3], fine.state[:, :3], atol=1e-3)  # m
    np.testing.assert_allclose(coarse.state[:, 3:], fine.state[:, 3:], atol=1e-6)  # m/s


def test_states_do_not_depend_on_the_times_asked_for():
    many = propagate(Forces(), EPOCH, orbit(), 1.0, np.linspace(0.0, SIX_HOURS, 1000))
    few = propagate(Forces(), EPOCH, orbit(), 1.0, many.t_s[[10, 400]])
    np.testing.assert_allclose(few.state, many.state[[10, 400]], atol=1e-6)


def test_there_and_back_returns_to_the_start():
    there = propagate(EVERYTHING, EPOCH, orbit(), 1.0, np.array([SIX_HOURS])).state[0]
    back = propagate(EVERYTHING, EPOCH + SIX_HOURS, there, 1.0, np.array([-SIX_HOURS])).state[0]
    np.testing.assert_allclose(back[:3], orbit()[:3], atol=1e-3)  # m


def test_the_epoch_itself_is_the_start_and_its_matrix_the_identity():
    at = propagate(Forces(), EPOCH, orbit(), 1.0, np.array([-1.0, 0.0, 1.0]), with_stm=True)
    np.testing.assert_array_equal(at.state[1], orbit())
    np.testing.assert_allclose(at.stm[1], np.eye(6, 7), atol=1e-15)


def test_blocks_join_and_chain_without_a_seam():
    t = np.array([30_700.0, 30_720.0, 30_740.0])  # 128 steps end at 30,720 s
    arc = propagate(Forces(), EPOCH, orbit(), 1.0, t, with_stm=True)
    halves = propagate(Forces(), EPOCH + t[0], arc.state[0], 1.0, t - t[0], with_stm=True)
    np.testing.assert_allclose(halves.state[:, :3], arc.state[:, :3], atol=1e-4)  # m
    chained = halves.stm[2, :, :6] @ arc.stm[0]
    chained[:, 6] += halves.stm[2, :, 6]
    np.testing.assert_allclose(chained, arc.stm[2], rtol=1e-6, atol=1e-9 * np.abs(arc.stm[2]).max())


@pytest.mark.verifies("AST-006")
@pytest.mark.parametrize("inclination_deg", [51.6, 97.5])
def test_j2_turns_the_node_at_the_textbook_rate(inclination_deg):
    t = np.arange(0.0, 86_400.0, 60.0)
    arc = propagate(
        Forces.j2(), Epoch.from_utc("2000-01-01T12:00:00Z"), orbit(5.5e5, inclination_deg), 1.0, t
    )
    node = np.unwrap([elements_from_state(x).raan for x in arc.state])
    rate = np.polyfit(t, node, 1)[0]
    a = np.mean([elements_from_state(x).a for x in arc.state])
    mean_motion = np.sqrt(GM_EARTH / a**3)
    expected = -1.5 * J2 * (R_EARTH / a) ** 2 * mean_motion * np.cos(np.radians(inclination_deg))
    assert rate == pytest.approx(expected, rel=0.01)


def test_j2_conserves_energy_over_a_day():
    epoch = Epoch.from_utc("2000-01-01T12:00:00Z")
    arc = propagate(Forces.j2(), epoch, orbit(), 1.0, np.linspace(0.0, 86_400.0, 500))
    r, v = arc.state[:, :3], arc.state[:, 3:]
    z = r @ ecef_from_eci(epoch)[2]
    d = np.linalg.norm(r, axis=1)
    energy = 0.5 * np.sum(v * v, axis=1) - GM_EARTH / d
    energy += GM_EARTH * J2 * R_EARTH**2 / d**3 * (1.5 * (z / d) ** 2 - 0.5)
    assert np.ptp(energy) / abs(energy[0]) < 1e-12


def test_drag_lowers_the_orbit_in_proportion_to_its_scale():
    t = np.array([SIX_HOURS])
    a = [
        elements_from_state(propagate(Forces(), EPOCH, orbit(4.2e5), scale, t).state[0]).a
        for scale in (0.0, 1.0, 2.0)
    ]
    assert a[0] > a[1] > a[2]
    assert (a[0] - a[2]) / (a[0] - a[1]) == pytest.approx(2.0, rel=1e-2)
    assert elements_from_state(
        propagate(Forces(drag=False), EPOCH, orbit(4.2e5), 1.0, t).state[0]
    ).a == pytest.approx(a[0], abs=1e-5)  # m


@pytest.mark.parametrize("forces", [Forces.j2(), Forces()])
def test_a_batch_is_its_members_and_a_lost_member_is_nan_alone(forces):
    t = np.array([-3000.0, 0.0, 3000.0, 9000.0])
    lost = [np.full(6, np.nan), np.zeros(6), np.array([6.9e6, 0, 0, -7000.0, 0, 0]), np.full(6, 1e300)]
    starts = np.array([orbit(), *lost, orbit(3e5, 51.6)])
    batch = propagate_batch(forces, EPOCH, starts, t)
    assert batch.shape == (6, 4, 6)
    for k in (0, 5):
        np.testing.assert_allclose(batch[k], propagate(forces, EPOCH, starts[k], 1.0, t).state, atol=1e-4)
    assert np.isnan(batch[1:5, 3]).any(axis=1).all()


def test_a_lost_start_gives_nan_states_and_nan_matrices():
    fall = propagate(
        Forces(), EPOCH, np.array([6.9e6, 0, 0, -7000.0, 0, 0]), 1.0, np.array([9000.0]), with_stm=True
    )
    assert np.isnan(fall.state).all()
    assert np.isnan(fall.stm).all()


def test_no_times_give_no_states():
    nothing = propagate(Forces(), EPOCH, orbit(), 1.0, np.array([]), with_stm=True)
    assert isinstance(nothing, Trajectory)
    assert nothing.state.shape == (0, 6)
    assert nothing.stm.shape == (0, 6, 7)


@pytest.mark.parametrize("t", [[1.0, 0.0], [np.nan], [[0.0, 1.0]]])
def test_times_that_are_not_sorted_and_finite_are_refused(t):
    with pytest.raises(ValueError, match="sorted"):
        propagate(Forces(), EPOCH, orbit(), 1.0, np.array(t))


def test_the_estimated_error_of_j2_over_six_hours_is_what_the_documentation_says():
    t = np.array([SIX_HOURS])
    gap = [
        np.linalg.norm(
            propagate(Forces.j2(), EPOCH, orbit(h), 1.0, t).state[0, :3]
            - propagate(EVERYTHING, EPOCH, orbit(h), 1.0, t).state[0, :3]
        )
        for h in (4.2e5, 5.5e5, 6e5)
    ]
    assert all(10.0 < g < 1e4 for g in gap)  # m
