"""One frame, and why it is a fix or none: `vinsat report frame`.

Frame with the patches that agree, the frame laid on the map's grid, the map there, and the
correlation of both around the pose: what the dense check decided by.
"""

import base64
from dataclasses import dataclass
from html import escape

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.camera.model import Camera
from flightsw.camera.project import observe
from flightsw.vision.check import View, surface, view_of
from flightsw.vision.finder import FrameResult, search_frame
from flightsw.vision.models import Models
from flightsw.vision.preprocess import MODEL_CAMERA, decode_model_frame

Array = NDArray[np.float64]

REACH, EVERY = 24, 2  # cells of 2.4 km: the surface shown
WIDE = 520  # px of the page, a picture
STEEP = 60.0  # grey levels a unit of feature


@dataclass(frozen=True, slots=True)
class FramePage:
    """The page (HTML), and what became of the frame."""

    html: str
    result: FrameResult


def frame_page(models: Models, jpeg: bytes, camera: Camera, *, name: str) -> FramePage:
    """Look at one frame as the flight program does, and draw what it saw.

    Raises InputError for what is no frame of this camera.
    """
    frame = decode_model_frame(jpeg, camera, file=name)
    result = search_frame(models, frame, camera)
    lines = [
        f"<h1>{escape(name)}</h1>",
        f"<p>{escape(result.status.value.capitalize())}.{_figures(result)}</p>",
    ]
    marks = ""
    if result.pose is not None and result.detections is not None:
        found = result.detections
        reference = models.region(found.region[0]).reference
        view = view_of(frame, result.pose, reference)
        assert view is not None  # it was accepted there
        marks = _marks(result)
        lines += [
            _picture("On the map's grid", _grey(view.features[0], view.usable)),
            _picture("The map", _grey(view.patch[0], np.ones_like(view.usable))),
            _picture(
                f"Correlation of both, moved by up to {REACH * 2.4:.0f} km: the peak decides",
                _heat(view),
            ),
        ]
    lines.insert(2, _picture(f"The frame, {len(result.detections or ())} patches agree", frame.rgb, marks))
    style = "body{font-family:sans-serif;max-width:68rem}figure{display:inline-block;margin:.5rem}"
    head = f"<!doctype html><meta charset=utf-8><title>{escape(name)}</title><style>{style}</style>"
    return FramePage(head + "\n".join(lines) + "\n", result)


def _figures(result: FrameResult) -> str:
    score = result.score
    text = f" Tried: {', '.join(result.regions)}." if result.regions else ""
    if score is not None:
        text += f" Peak {score.peak:.3f}, strength {score.strength:.1f}, contrast {score.contrast:.1f}"
        text += f" over {score.cells} cells."
    if result.pose is not None:
        text += f" {result.pose.altitude / 1e3:.0f} km up."
    return escape(text)


def _marks(result: FrameResult) -> str:
    """Return circles where the accepted pose puts the patches, in model px."""
    found, pose = result.detections, result.pose
    assert found is not None
    assert pose is not None
    points = ecef_from_lla(np.deg2rad(found.lat_deg), np.deg2rad(found.lon_deg), found.height)
    uv_px, _, _ = observe(MODEL_CAMERA, pose.cam_from_ecef, pose.r_ecef, points)
    return "".join(
        f'<circle cx="{u:.1f}" cy="{v:.1f}" r="9" fill="none" stroke="#f60" stroke-width="3"/>'
        for u, v in uv_px
    )


def _picture(title: str, rgb: NDArray[np.uint8], marks: str = "") -> str:
    height, width = rgb.shape[:2]
    data = base64.b64encode(simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), 85)).decode("ascii")
    return (
        f'<figure><svg width="{WIDE}" viewBox="0 0 {width} {height}">'
        f'<image width="{width}" height="{height}" href="data:image/jpeg;base64,{data}"/>{marks}</svg>'
        f"<figcaption>{escape(title)}</figcaption></figure>"
    )


def _grey(plane: NDArray[np.float32], shown: NDArray[np.bool_]) -> NDArray[np.uint8]:
    grey = np.where(shown, np.clip(128.0 + STEEP * plane, 0.0, 255.0), 0.0)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def _heat(view: View) -> NDArray[np.uint8]:
    """Return the correlation around the pose, white at its highest, 8 px a value."""
    score = surface(view, REACH, EVERY)
    level = 255.0 * (score - score.min()) / max(float(np.ptp(score)), 1e-9)
    return np.repeat(np.kron(level, np.ones((8, 8)))[..., None], 3, axis=2).astype(np.uint8)
