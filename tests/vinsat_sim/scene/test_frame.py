"""Rendered frames: things appear where they are, and the same frame twice is the same."""

from dataclasses import replace

import numpy as np
import pytest
import simplejpeg

from flightsw.astro.geodesy import ecef_from_lla, geodetic_up
from flightsw.camera.project import ray_from_pixel
from groundtools.imagery import open_imagery
from vinsat_sim.clouds import cloud_field
from vinsat_sim.scene.frame import Scene, encode_jpeg, render_frame
from vinsat_sim.scene.grid import ray_grid
from vinsat_sim.scene.labels import project_labels
from vinsat_sim.scene.radiometry import Radiometry
from vinsat_sim.views import crop_camera

DISTORTION = (-0.06, 0.02, 0.001, -0.0008, 0.0)


def sun_over(r_ecef):
    return r_ecef / np.linalg.norm(r_ecef)


def centroid(frame, near_px):
    u0, v0 = np.round(near_px).astype(int) - 12
    spot = frame[v0 : v0 + 24, u0 : u0 + 24, 1].astype(float)
    spot = np.clip(spot - spot.min() - 0.05 * np.ptp(spot), 0.0, None)
    v, u = np.mgrid[0.5:24, 0.5:24]
    return np.array([(spot * u).sum(), (spot * v).sum()]) / spot.sum() + (u0, v0)


POSES = {
    "straight down": ((12.0, 42.0), (12.0, 42.0, 550e3, 0.0, 0.0)),
    "towards a corner": ((14.2, 43.0), (12.0, 42.0, 550e3, 0.0, 0.0)),
    "turned and tilted": ((12.5, 42.8), (12.0, 42.0, 400e3, 130.0, 5.0)),
    "across the date line": ((-179.3, -17.2), (179.6, -17.0, 600e3, 70.0, 2.0)),
    "far north": ((30.0, 71.0), (26.0, 70.0, 550e3, -40.0, 3.0)),
}


@pytest.mark.verifies("SIM-001")
@pytest.mark.parametrize("name", POSES)
@pytest.mark.parametrize("distorted", [False, True])
def test_a_spot_on_the_ground_appears_where_its_label_says(name, distorted, camera, pose, plain_scene):
    where, view = POSES[name]
    camera = replace(camera, distortion=DISTORTION) if distorted else camera
    r_ecef, cam_from_ecef = pose(*view)
    scene = plain_scene(*where)
    frame = render_frame(scene, camera, r_ecef, cam_from_ecef, sun_over(r_ecef))
    # A catalogue's height does not matter: the rendered world is the ellipsoid.
    p_ecef = ecef_from_lla(np.deg2rad([where[1]]), np.deg2rad([where[0]]), 800.0)
    uv_px, visible, cover = project_labels(camera, r_ecef, cam_from_ecef, p_ecef, scene)
    assert visible[0]
    assert cover[0] == 0.0
    np.testing.assert_allclose(centroid(frame, uv_px[0]), uv_px[0], atol=0.1)  # px


def test_the_ray_grid_is_good_to_a_fraction_of_a_pixel(camera, pose):
    r_ecef, cam_from_ecef = pose(12.0, 42.0, 550e3, 30.0, 5.0)
    coarse = ray_grid(camera, r_ecef, cam_from_ecef)
    fine = ray_grid(camera, r_ecef, cam_from_ecef, step=2)
    apart = np.linalg.norm(coarse.upsampled(coarse.p_ecef, step=2) - fine.p_ecef, axis=-1)[1:-1, 1:-1]
    assert apart.max() < 0.1 * 620.0  # m: a tenth of a pixel


def test_rays_meet_the_ellipsoid_where_the_camera_says(camera, pose):
    r_ecef, cam_from_ecef = pose(100.0, -30.0, 600e3, 30.0, 5.0)
    grid = ray_grid(camera, r_ecef, cam_from_ecef)
    row, column = 7, 11
    ray = ray_from_pixel(camera, np.array([[(column - 0.5) * 16.0, (row - 0.5) * 16.0]]))[0]
    to_ground = cam_from_ecef @ (grid.p_ecef[row, column] - r_ecef)
    np.testing.assert_allclose(to_ground / np.linalg.norm(to_ground), ray, atol=1e-12)
    lon, lat = grid.lonlat()
    np.testing.assert_allclose(
        ecef_from_lla(lat[row, column], lon[row, column]), grid.p_ecef[row, column], atol=1e-6
    )  # m


@pytest.mark.verifies("SIM-002")
def test_the_same_frame_twice_is_the_same_bytes(camera, pose):
    r_ecef, cam_from_ecef = pose(12.0, 42.0)
    scene = Scene(open_imagery("embedded"), cloud_field(5, cover=0.5))
    again = Scene(open_imagery("embedded"), cloud_field(5, cover=0.5))
    arguments = (camera.resized(0.5), r_ecef, cam_from_ecef, sun_over(r_ecef))
    first = encode_jpeg(render_frame(scene, *arguments, seed=3))
    assert encode_jpeg(render_frame(again, *arguments, seed=3)) == first
    assert encode_jpeg(render_frame(again, *arguments, seed=4)) != first


def test_a_crop_is_a_part_of_the_whole(camera, pose, plain_scene):
    r_ecef, cam_from_ecef = pose(12.0, 42.0, 500e3, 20.0, 3.0)
    sun = sun_over(r_ecef)
    scene = replace(plain_scene(12.0, 42.0), clouds=cloud_field(1, cover=0.4))
    whole = render_frame(scene, camera, r_ecef, cam_from_ecef, sun).astype(int)
    part = render_frame(scene, crop_camera(camera, (320, 192, 256, 256)), r_ecef, cam_from_ecef, sun)
    apart = np.abs(part - whole[192:448, 320:576])
    assert np.quantile(apart, 0.999) <= 2  # grey levels


def test_night_is_dark_and_dusk_is_between(camera, pose, plain_scene):
    r_ecef, cam_from_ecef = pose(12.0, 42.0)
    up = geodetic_up(*np.deg2rad([42.0, 12.0]))
    level = np.cross(up, [0.0, 0.0, 1.0])
    level /= np.linalg.norm(level)

    def brightness(elevation_deg):
        elevation = np.deg2rad(elevation_deg)
        sun = np.sin(elevation) * up + np.cos(elevation) * level
        scene = Scene(plain_scene(12.0, 42.0).imagery, None, Radiometry(noise_sigma=0.0))
        return render_frame(scene, camera.resized(0.25), r_ecef, cam_from_ecef, sun).mean()

    assert brightness(-12.0) == 0.0
    assert 1.0 < brightness(0.0) < 0.6 * brightness(60.0)


def test_rays_that_miss_the_earth_are_black(camera, pose, plain_scene):
    r_ecef, cam_from_ecef = pose(12.0, 42.0, 550e3, 0.0, 60.0)
    camera = camera.resized(0.25)
    frame = render_frame(plain_scene(12.0, 42.0), camera, r_ecef, cam_from_ecef, sun_over(r_ecef))
    grid = ray_grid(camera, r_ecef, cam_from_ecef, step=2)
    clearance = grid.upsampled(grid.clearance, step=1)  # Earth radii squared
    assert 0.05 < (clearance < -5e-3).mean() < 0.95
    assert not frame[clearance < -5e-3].any()
    assert frame[clearance > 5e-3].any(axis=-1).all()


@pytest.mark.parametrize("lat_deg", [86.0, 90.0, -84.0, -89.9])
def test_the_poles_are_rendered(lat_deg, camera, pose):
    r_ecef, cam_from_ecef = pose(17.0, lat_deg)
    sun = sun_over(r_ecef)
    frame = render_frame(Scene(open_imagery("embedded")), camera.resized(0.25), r_ecef, cam_from_ecef, sun)
    ice = frame[..., 0].mean() > 120
    assert ice == (lat_deg < 0.0)


@pytest.mark.verifies("SIM-001")
def test_landmarks_over_the_horizon_or_outside_are_not_in_view(camera, pose, plain_scene):
    r_ecef, cam_from_ecef = pose(12.0, 42.0)
    lon, lat = np.deg2rad([[12.0, 40.0, -168.0], [42.0, 42.0, -42.0]])
    _, visible, _ = project_labels(
        camera, r_ecef, cam_from_ecef, ecef_from_lla(lat, lon), plain_scene(12.0, 42.0)
    )
    assert visible.tolist() == [True, False, False]


@pytest.mark.verifies("SIM-001")
def test_a_label_under_cloud_is_white_in_the_picture(camera, pose, plain_scene, rng):
    r_ecef, cam_from_ecef = pose(-30.0, 10.0)
    clouds = cloud_field(5, cover=0.5)
    scene = replace(plain_scene(100.0, 10.0), clouds=clouds)
    frame = render_frame(scene, camera, r_ecef, cam_from_ecef, sun_over(r_ecef))
    lon, lat = np.deg2rad(np.stack([rng.uniform(-32, -28, 400), rng.uniform(9, 11, 400)]))
    p_ecef = ecef_from_lla(lat, lon)
    uv_px, visible, cover = project_labels(camera, r_ecef, cam_from_ecef, p_ecef, scene, chip=100.0)
    u, v = np.floor(uv_px[visible]).astype(int).T
    brightness = frame[v, u, 1]
    assert 0.1 < (cover[visible] > 0.5).mean() < 0.95
    assert np.corrcoef(brightness, cover[visible])[0, 1] > 0.97


def test_a_jpeg_is_the_frame(camera, rng):
    frame = np.full((64, 96, 3), 90, np.uint8)
    back = simplejpeg.decode_jpeg(encode_jpeg(frame))
    assert back.shape == frame.shape
    assert np.abs(back.astype(int) - frame).max() <= 2
