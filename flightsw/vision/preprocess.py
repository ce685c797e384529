"""From a JPEG of any camera to the model frame, the one image all vision works on.

The model frame is what an ideal pinhole of a quarter of the reference camera sees:
1152 x 648 px, f = 886.9625 px, principal point in the middle: 620 m/px from 550 km.
Every user camera is resampled to it, so that networks and maps know one scale. The
camera axes stay the user's own: only the pixels change, never the rays.

The JPEG is decoded by the DCT at the smallest n/8 that is not coarser than the model
frame (a third of the time of a full decode, a tenth of the memory), then resampled by
the exact area mean, or not at all where the scale already fits. Training goes through
`model_frame_from_rgb`, `rc_input`, `rc_normalise` and `ld_normalise` too: one path.
"""

import functools
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from flightsw.camera.model import Camera
from flightsw.camera.project import pixel_from_camera_point, ray_from_pixel
from flightsw.errors import InputError
from flightsw.vision.resample import area_resample, bilinear_resample, block_mean

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

MODEL_CAMERA = Camera(1152, 648, 886.9625, 886.9625, 576.0, 324.0)
NOMINAL_ALTITUDE = 550_000.0  # m, at which a camera's scale and swath are judged
COARSEST_SAMPLE = 1.3 * 600.0  # m/px: what the models were taught, and 30 % more
NARROWEST_SWATH = 200_000.0  # m, along the image's longer side

RC_SHAPE = (160, 288)  # rows, columns: the 162 x 288 area means, without the outer rows
LD_SHAPE = (656, 1152)  # rows, columns: the model frame and 8 rows of grey below it
RC_MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # ImageNet, RGB in 0..1
RC_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class ModelFrame:
    """An image at the models' scale; equal to itself alone.

    rgb : (648, 1152, 3) uint8; valid : (648, 1152), False where the user's camera does
    not reach (those pixels are 0).
    """

    rgb: Bytes
    valid: Mask


def check_camera(camera: Camera, *, file: object = "") -> None:
    """Raise InputError, naming both figures, for a camera too coarse or too narrow.

    Judged from 550 km: more than 780 m/px (1.3 x 600), or a swath under 200 km along
    the longer side of the image.
    """
    focal = min(camera.fx_px, camera.fy_px)
    sample = NOMINAL_ALTITUDE / focal
    swath = NOMINAL_ALTITUDE * max(camera.width_px / camera.fx_px, camera.height_px / camera.fy_px)
    figures = f"ground sample {sample:.0f} m/px and swath {swath / 1e3:.0f} km from 550 km altitude"
    if sample > COARSEST_SAMPLE:
        raise InputError(
            f"{figures}: coarser than {COARSEST_SAMPLE:.0f} m/px",
            file=file,
            field="fx_px, fy_px",
            fix=f"use a camera with a focal length of at least {NOMINAL_ALTITUDE / COARSEST_SAMPLE:.0f} px",
        )
    if swath < NARROWEST_SWATH:
        raise InputError(
            f"{figures}: narrower than {NARROWEST_SWATH / 1e3:.0f} km",
            file=file,
            field="width_px, fx_px",
            fix="use a wider lens: too few landmarks fit in this view",
        )


def model_frame_from_rgb(rgb: Bytes, valid: Mask | None = None) -> ModelFrame:
    """Return the ModelFrame of an image (648, 1152, 3) uint8 that is at model scale."""
    shape = (MODEL_CAMERA.height_px, MODEL_CAMERA.width_px, 3)
    if rgb.shape != shape or rgb.dtype != np.uint8:
        raise ValueError(f"expected uint8 {shape}, got {rgb.dtype} {rgb.shape}")
    return ModelFrame(rgb, np.ones(shape[:2], bool) if valid is None else valid)


def decode_model_frame(jpeg: bytes, camera: Camera, *, file: object = "") -> ModelFrame:
    """Return the model frame of a JPEG taken by `camera`.

    Raises InputError for what is not a whole JPEG of the camera's size.
    """
    height, width = _header(jpeg, file=file)
    if (width, height) != (camera.width_px, camera.height_px):
        raise InputError(
            f"image is {width} x {height} px, the camera {camera.width_px} x {camera.height_px}",
            file=file,
            fix="give the camera file that belongs to these frames",
        )
    plan = _plan(_key(camera))
    try:
        # strict: libjpeg's warnings (truncated, corrupt) are errors, never grey padding.
        decoded = simplejpeg.decode_jpeg(
            jpeg, "RGB", min_height=plan.decoded[0], min_width=plan.decoded[1], strict=True
        )
    except ValueError as error:
        raise InputError(f"JPEG is damaged ({error})", file=file, fix="send the frame again") from error
    if decoded.shape[:2] != plan.decoded:
        raise InputError(f"decoded to {decoded.shape[:2]}, expected {plan.decoded}", file=file)
    return plan.resample(decoded)


def user_px_from_model(camera: Camera, uv_px: Array) -> Array:
    """Return the user camera's full-resolution pixels (N, 2) of model-frame pixels (N, 2)."""
    return pixel_from_camera_point(camera, ray_from_pixel(MODEL_CAMERA, uv_px))[0]


def rc_normalise(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (3, h, w) float32, ImageNet-normalised, of (h, w, 3) grey levels 0..255."""
    scaled = (rgb * np.float32(1.0 / 255.0) - RC_MEAN) / RC_STD
    return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


def rc_input(frame: ModelFrame) -> NDArray[np.float32]:
    """Return the region classifier's input, float32 (1, 3, 160, 288).

    4 x 4 area means of the model frame: 162 x 288, of which rows 1..160 are kept.
    """
    small = block_mean(frame.rgb, 4)
    top = (len(small) - RC_SHAPE[0]) // 2
    return rc_normalise(small[top : top + RC_SHAPE[0]])[None]


def ld_normalise(rgb: Bytes) -> NDArray[np.float32]:
    """Return (3, h, w) float32 in -0.5..0.5 of (h, w, 3) uint8: v / 255 - 0.5."""
    out = np.empty((3, *rgb.shape[:2]), np.float32)
    _ld_normalise_into(out, rgb)
    return out


def _ld_normalise_into(out: NDArray[np.float32], rgb: Bytes) -> None:
    """Fill (3, h, w): plane by plane, so that no second copy of the frame is made."""
    for plane, channel in zip(out, rgb.transpose(2, 0, 1)):
        np.multiply(channel, np.float32(1.0 / 255.0), out=plane, dtype=np.float32)
        plane -= np.float32(0.5)


def ld_input(frame: ModelFrame) -> NDArray[np.float32]:
    """Return the landmark detector's input, float32 (1, 3, 656, 1152).

    The model frame at the top left, pixel for pixel (pixel (u, v) of the input is pixel
    (u, v) of the model frame), then 8 rows of 0 (mid-grey) so that 16 divides the height.
    """
    out = np.zeros((1, 3, *LD_SHAPE), np.float32)
    _ld_normalise_into(out[0, :, : frame.rgb.shape[0]], frame.rgb)
    return out


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one camera's decoded JPEG becomes the model frame."""

    decoded: tuple[int, int]  # rows, columns after DCT scaling
    columns: Array | None  # (1153,) decoded u of the model pixels' edges; None: distorted
    rows: Array | None  # (649,) decoded v of the model pixels' edges
    uv_decoded: NDArray[np.float32] | None  # (648, 1152, 2) centres; None: no distortion
    valid: Mask
    is_identity: bool

    def resample(self, decoded: Bytes) -> ModelFrame:
        if self.is_identity:
            return ModelFrame(decoded, self.valid)
        if self.uv_decoded is not None:
            rgb = bilinear_resample(decoded, self.uv_decoded)
        else:
            assert self.rows is not None
            assert self.columns is not None
            rgb = area_resample(decoded, self.rows, self.columns)
        rgb[~self.valid] = 0
        return ModelFrame(rgb, self.valid)


def _header(jpeg: bytes, *, file: object) -> tuple[int, int]:
    """Return (height, width); raise InputError for what is not a JPEG."""
    if not jpeg:
        raise InputError("the file is empty (0 bytes)", file=file, fix="send the frame again")
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError as error:
        raise InputError(f"not a JPEG ({error})", file=file, fix="send the frame again") from error
    return int(height), int(width)


Key = tuple[int, int, float, float, float, float, tuple[float, float, float, float, float]]


def _key(camera: Camera) -> Key:
    size = (camera.width_px, camera.height_px)
    return (*size, camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px, camera.distortion)


@functools.lru_cache(maxsize=2)
def _plan(key: Key) -> _Plan:
    """Return the resampling of a camera: made once, then used for every frame."""
    camera = Camera(*key)
    needed = MODEL_CAMERA.fx_px / min(camera.fx_px, camera.fy_px)
    eighths = min(8, max(1, int(np.ceil(8.0 * needed - 1e-9))))
    scale = eighths / 8.0
    decoded = (-(-camera.height_px * eighths // 8), -(-camera.width_px * eighths // 8))
    u = (np.arange(MODEL_CAMERA.width_px + 1.0) - MODEL_CAMERA.cx_px) / MODEL_CAMERA.fx_px
    v = (np.arange(MODEL_CAMERA.height_px + 1.0) - MODEL_CAMERA.cy_px) / MODEL_CAMERA.fy_px
    if any(camera.distortion):
        return _distorted_plan(camera, u, v, scale, decoded)
    columns = (u * camera.fx_px + camera.cx_px) * scale
    rows = (v * camera.fy_px + camera.cy_px) * scale
    valid = _inside(rows, decoded[0])[:, None] & _inside(columns, decoded[1])[None, :]
    edges = np.concatenate([rows - np.arange(len(rows)), columns - np.arange(len(columns))])
    shape = (MODEL_CAMERA.height_px, MODEL_CAMERA.width_px)
    is_identity = decoded == shape and float(np.abs(edges).max()) < 1e-3  # px
    return _Plan(decoded, columns, rows, None, valid, is_identity)


def _inside(edges: Array, size: int) -> Mask:
    """Tell which cells between edges lie inside 0..size (a hundredth of a pixel spared)."""
    return np.asarray((edges[:-1] > -0.01) & (edges[1:] < size + 0.01))


def _distorted_plan(camera: Camera, u: Array, v: Array, scale: float, decoded: tuple[int, int]) -> _Plan:
    """Plan for a lens with distortion: one bilinear look-up per model pixel."""
    x, y = np.meshgrid(0.5 * (u[:-1] + u[1:]), 0.5 * (v[:-1] + v[1:]))
    rays = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)
    uv = (pixel_from_camera_point(camera, rays)[0] * scale).reshape(*x.shape, 2)
    k1, k2, _, _, k3 = camera.distortion
    # A strong lens model folds back: radius (1 + k1 s + ...) falls beyond this s = r^2.
    roots = np.roots([7.0 * k3, 5.0 * k2, 3.0 * k1, 1.0])
    folds = roots.real[(np.abs(roots.imag) < 1e-12) & (roots.real > 0.0)]
    reach = float(folds.min()) if len(folds) else np.inf
    valid = (x * x + y * y < reach) & (uv >= 0.0).all(axis=2)
    valid &= (uv[..., 0] <= decoded[1]) & (uv[..., 1] <= decoded[0])
    return _Plan(decoded, None, None, uv.astype(np.float32), valid, False)
