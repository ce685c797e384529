import numpy as np
import pytest
import simplejpeg

from flightsw.camera.model import Camera
from flightsw.camera.project import pixel_from_camera_point
from flightsw.errors import InputError
from flightsw.vision.preprocess import (
    MODEL_CAMERA,
    RC_MEAN,
    RC_STD,
    check_camera,
    decode_model_frame,
    ld_input,
    ld_normalise,
    model_frame_from_rgb,
    rc_input,
    user_px_from_model,
)

REFERENCE = MODEL_CAMERA.resized(4.0)
BINNED = MODEL_CAMERA.resized(2.0)
FISHY = (-0.12, 0.02, 0.001, -0.0005, 0.0)


def picture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a colour picture with edges and texture, (height, width, 3) uint8."""
    rows, columns = np.ogrid[:height, :width]
    grey = 90 + 50 * np.sin(9 * columns / height + 4 * (rows / height) ** 2) + 40 * (rows % 90 > 50)
    blocks = rng.integers(0, 40, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return blocks.repeat(8, 0).repeat(8, 1)[:height, :width] + grey.astype(np.uint8)[..., None]


def jpeg(rgb: np.ndarray, quality: int = 95) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), quality, colorsubsampling="444")


@pytest.fixture(scope="module")
def binned() -> tuple[np.ndarray, bytes]:
    """Return a picture of the binned reference camera, and its JPEG."""
    rgb = picture(np.random.default_rng(7), 1296, 2304)
    return rgb, jpeg(rgb)


def spots(camera: Camera, uv_px: np.ndarray) -> np.ndarray:
    """Return a dark picture of `camera` with a soft bright spot at each pixel (N, 2)."""
    out = np.zeros((camera.height_px, camera.width_px), np.uint8)
    width = 0.005 * camera.fx_px
    for uv in uv_px:
        left, top = (uv - 5 * width).astype(int)
        v, u = np.mgrid[top : top + int(10 * width), left : left + int(10 * width)] + 0.5
        spot = 220 * np.exp(-((u - uv[0]) ** 2 + (v - uv[1]) ** 2) / (2 * width**2))
        out[top : top + len(spot), left : left + len(spot)] = spot.astype(np.uint8)
    return out[..., None].repeat(3, 2)


def centroid(grey: np.ndarray, near: np.ndarray, radius: int = 14) -> np.ndarray:
    left, top = (near - radius).astype(int)
    box = grey[top : top + 2 * radius, left : left + 2 * radius].astype(float)
    v, u = np.mgrid[: 2 * radius, : 2 * radius] + 0.5
    return np.array([(box * u).sum() / box.sum() + left, (box * v).sum() / box.sum() + top])


@pytest.mark.verifies("VIS-101")
def test_golden_pixels_a_scaled_decode_is_the_area_mean_of_the_full_one(binned):
    data = binned[1]
    ours = decode_model_frame(data, BINNED).rgb.astype(float)
    full = simplejpeg.decode_jpeg(data).astype(float).reshape(648, 2, 1152, 2, 3).mean(axis=(1, 3))
    assert np.abs(ours - full).mean() < 1.3  # grey levels
    assert np.quantile(np.abs(ours - full), 0.999) < 12.0  # grey levels, on the sharpest edges


def test_a_frame_already_at_model_scale_is_taken_pixel_for_pixel(rng):
    data = jpeg(picture(rng, 648, 1152))
    assert np.array_equal(decode_model_frame(data, MODEL_CAMERA).rgb, simplejpeg.decode_jpeg(data))


@pytest.mark.verifies("VIS-101")
def test_flight_and_training_feed_the_networks_the_same_numbers(binned):
    data = binned[1]
    flight = decode_model_frame(data, BINNED)
    training = model_frame_from_rgb(
        simplejpeg.decode_jpeg(data, min_height=648, min_width=1152)  # what a data set stores
    )
    assert np.array_equal(rc_input(flight), rc_input(training))
    assert np.array_equal(ld_input(flight), ld_input(training))


def test_a_lens_of_another_focal_length_is_resampled_by_area(binned):
    camera = Camera(2304, 1296, 1330.44375, 1330.44375, 1152.0, 648.0)  # 1.5 x the model's
    rgb, data = binned
    ours = decode_model_frame(data, camera).rgb.astype(float)
    used = rgb[162:1134, 288:2016].astype(float)  # the 1728 x 972 px that the model frame sees
    thirds = used.repeat(2, 0).repeat(2, 1).reshape(648, 3, 1152, 3, 3).mean(axis=(1, 3))
    assert np.abs(ours - thirds).mean() < 2.0  # grey levels


@pytest.mark.parametrize("distortion", [(0.0, 0.0, 0.0, 0.0, 0.0), FISHY])
def test_a_point_on_the_sensor_lands_where_its_ray_does(distortion):
    camera = Camera(2400, 1600, 1500.0, 1480.0, 1230.0, 790.0, distortion)
    rays = np.array([[0.1, 0.05, 1.0], [-0.4, 0.2, 1.0], [0.35, -0.25, 1.0]])
    user_uv = pixel_from_camera_point(camera, rays)[0]
    model_uv = pixel_from_camera_point(MODEL_CAMERA, rays)[0]
    frame = decode_model_frame(jpeg(spots(camera, user_uv)), camera)
    found = np.array([centroid(frame.rgb[..., 1], uv) for uv in model_uv])
    np.testing.assert_allclose(found, model_uv, atol=0.1)  # px
    np.testing.assert_allclose(user_px_from_model(camera, model_uv), user_uv, atol=1e-6)  # px


def test_what_the_users_camera_does_not_see_is_marked(rng):
    narrow = Camera(1200, 900, 1773.925, 1773.925, 600.0, 450.0)
    frame = decode_model_frame(jpeg(picture(rng, 900, 1200)), narrow)
    assert frame.valid.sum() == 600 * 450
    assert not frame.rgb[~frame.valid].any()
    assert frame.valid[324, 576]


def test_rays_beyond_the_fold_of_a_strong_lens_model_are_not_invented(rng):
    folding = Camera(1152, 648, 900.0, 900.0, 576.0, 324.0, (-0.9, 0.0, 0.0, 0.0, 0.0))
    frame = decode_model_frame(jpeg(picture(rng, 648, 1152)), folding)
    u, v = np.meshgrid(np.arange(1152) + 0.5, np.arange(648) + 0.5)
    radius = np.hypot(u - 576.0, v - 324.0) / MODEL_CAMERA.fx_px
    assert not frame.valid[radius > np.sqrt(1 / 2.7) + 0.01].any()
    assert frame.valid[radius < 0.3].all()


def test_the_classifier_sees_four_by_four_means_without_the_outer_rows(rng):
    frame = model_frame_from_rgb(picture(rng, 648, 1152))
    x = rc_input(frame)
    assert x.shape == (1, 3, 160, 288)
    assert x.dtype == np.float32
    mean = frame.rgb.astype(float).reshape(162, 4, 288, 4, 3).mean(axis=(1, 3))[1:161] / 255.0
    np.testing.assert_allclose(x[0].transpose(1, 2, 0) * RC_STD + RC_MEAN, mean, atol=1e-5)


def test_the_detector_sees_the_frame_pixel_for_pixel_above_eight_grey_rows(rng):
    frame = model_frame_from_rgb(picture(rng, 648, 1152))
    x = ld_input(frame)
    assert x.shape == (1, 3, 656, 1152)
    assert np.array_equal(x[0, :, :648], ld_normalise(frame.rgb))
    assert not x[0, :, 648:].any()
    np.testing.assert_allclose(x[0, 1, 5, 7], frame.rgb[5, 7, 1] / 255.0 - 0.5, atol=1e-6)


def damaged() -> dict[str, bytes]:
    data = jpeg(picture(np.random.default_rng(7), 648, 1152))
    cuts = {f"cut at {share:.0%}": data[: int(share * len(data))] for share in (0.01, 0.3, 0.9, 0.9999)}
    return {
        "empty": b"",
        "text": b"hello, I am not a picture" * 50,
        "a PNG": b"\x89PNG\r\n\x1a\n" + bytes(500),
        "no end": data[:-2],
        "a hole": data[:40_000] + bytes(3000) + data[43_000:],
        **cuts,
    }


@pytest.mark.verifies("VIS-107")
@pytest.mark.parametrize("name", list(damaged()))
def test_a_damaged_jpeg_is_refused_by_name(name):
    with pytest.raises(InputError, match=r"frame7\.jpg: "):
        decode_model_frame(damaged()[name], MODEL_CAMERA, file="frame7.jpg")


def test_a_frame_of_the_wrong_size_names_both_sizes(rng):
    with pytest.raises(InputError, match=r"image is 640 x 480 px, the camera 1152 x 648"):
        decode_model_frame(jpeg(picture(rng, 480, 640)), MODEL_CAMERA, file="frame.jpg")


def test_cameras_of_the_reference_and_of_the_station_are_served():
    for camera in (REFERENCE, BINNED, MODEL_CAMERA, Camera(2028, 1520, 1613.0, 1613.0, 1014.0, 760.0)):
        check_camera(camera)


@pytest.mark.verifies("VIS-108")
@pytest.mark.parametrize(
    ("camera", "figures"),
    [
        (Camera(640, 480, 600.0, 600.0, 320.0, 240.0), "917 m/px and swath 587 km"),
        (Camera(4608, 2592, 20000.0, 20000.0, 2304.0, 1296.0), "28 m/px and swath 127 km"),
    ],
)
def test_a_camera_too_coarse_or_too_narrow_is_refused_with_both_figures(camera, figures):
    with pytest.raises(InputError, match=figures):
        check_camera(camera, file="cam.toml")


def test_only_the_model_frames_own_size_is_taken_for_one():
    with pytest.raises(ValueError, match="expected uint8"):
        model_frame_from_rgb(np.zeros((100, 100, 3), np.uint8))
