from dataclasses import replace

import numpy as np
import pytest

from flightsw.astro.time import Epoch
from flightsw.camera.quaternion import rotation_from_quaternion
from flightsw.estimate.observations import AttitudeTable, Observations

EPOCH = Epoch.from_utc("2026-03-01T12:00:00Z")


def small() -> Observations:
    return Observations.build(
        epoch=EPOCH,
        t_s=np.array([5.0, 0.0, 5.0, 0.0]),
        landmark_id=np.array(["b", "a", "a", "a"]),
        lon_deg=np.array([10.0, 0.0, 10.0, 0.0]),
        lat_deg=np.array([40.0, 0.0, 40.0, 0.0]),
        height_m=np.zeros(4),
        uv_px=np.array([[1.0, 2.0], [7.0, 4.0], [5.0, 6.0], [3.0, 8.0]]),
    )


def turn_about_z(angle_deg: float) -> list[float]:
    half = np.radians(angle_deg) / 2.0
    return [np.cos(half), 0.0, 0.0, np.sin(half)]


def test_rows_are_sorted_and_grouped_into_frames() -> None:
    o = small()
    assert o.t_s.tolist() == [0.0, 0.0, 5.0, 5.0]
    assert o.landmark_id.tolist() == ["a", "a", "a", "b"]
    assert o.uv_px[:, 0].tolist() == [3.0, 7.0, 5.0, 1.0]
    assert o.frame_t_s.tolist() == [0.0, 5.0]
    assert o.frame_index.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(o.p_ecef[0], [6378137.0, 0.0, 0.0], atol=1e-9)  # m
    assert np.isnan(o.sigma_px).all()
    assert (o.confidence == 1.0).all()


def test_the_order_of_the_rows_does_not_matter(rng: np.random.Generator) -> None:
    o = small()
    order = rng.permutation(4)
    names = ("t_s", "landmark_id", "lon_deg", "lat_deg", "height_m", "uv_px")
    again = Observations.build(epoch=EPOCH, **{name: getattr(o, name)[order] for name in names})
    for name in names:
        assert np.array_equal(getattr(again, name), getattr(o, name))


def test_a_subset_counts_its_frames_anew() -> None:
    part = small().subset(np.array([False, False, True, True]))
    assert len(part) == 2
    assert part.frame_index.tolist() == [0, 0]
    assert part.frame_t_s.tolist() == [5.0]
    assert len(part.subset(np.zeros(2, dtype=bool))) == 0


def test_wrong_shapes_are_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"t_s must be sorted"):
        replace(small(), t_s=np.array([5.0, 0.0, 5.0, 0.0]))
    with pytest.raises(ValueError, match=r"uv_px must have shape \(4, 2\)"):
        replace(small(), uv_px=np.zeros((3, 2)))


@pytest.mark.verifies("RUN-005")
def test_attitude_is_exact_or_slerped_over_at_most_a_minute() -> None:
    table = AttitudeTable(
        epoch=EPOCH,
        t_s=np.array([0.0, 10.0, 70.0, 130.1]),
        q=np.array([turn_about_z(a) for a in (0.0, 10.0, 40.0, 80.0)]),
        sigma_rad=np.array([0.1, 0.2, np.nan, 0.3]),
    )
    t_s = np.array([-1.0, 0.0, 5.0, 10.0, 40.0, 70.0, 100.0, 130.1, 131.0])
    rotation, valid = table.cam_from_eci_at(t_s)
    assert valid.tolist() == [False, True, True, True, True, True, False, True, False]
    expected = rotation_from_quaternion(np.array([turn_about_z(a) for a in (0, 5, 10, 25, 40, 80)]))
    np.testing.assert_allclose(rotation[valid], expected, atol=1e-14)
    assert np.isnan(rotation[~valid]).all()
    sigma = table.sigma_rad_at(t_s)
    assert sigma[1:4].tolist() == [0.1, 0.2, 0.2]
    assert np.isnan(sigma[[0, 4, 5, 6, 8]]).all()


@pytest.mark.verifies("RUN-005")
def test_attitude_is_found_after_a_change_of_epoch() -> None:
    table = AttitudeTable(
        epoch=EPOCH + 12345.678,
        t_s=np.array([0.0, 600.0]),
        q=np.array([turn_about_z(0.0), turn_about_z(30.0)]),
        sigma_rad=np.full(2, np.nan),
    ).rebased(EPOCH)
    _, valid = table.cam_from_eci_at(np.array([12345.678, 12945.678, 12400.0]))
    assert valid.tolist() == [True, True, False]


def test_attitude_out_of_order_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="strictly ascending"):
        AttitudeTable(epoch=EPOCH, t_s=np.zeros(2), q=np.zeros((2, 4)), sigma_rad=np.zeros(2))


def test_an_empty_attitude_table_covers_nothing() -> None:
    table = AttitudeTable(epoch=EPOCH, t_s=np.zeros(0), q=np.zeros((0, 4)), sigma_rad=np.zeros(0))
    assert not table.cam_from_eci_at(np.array([0.0, 1.0]))[1].any()
