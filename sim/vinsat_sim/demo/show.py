"""Make the picture and the page of a demo from what it left behind."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import lla_from_ecef
from flightsw.astro.time import Epoch
from flightsw.estimate.observations import Observations
from flightsw.vision.models import Models
from groundtools.imagery import Imagery
from vinsat_sim.demo.draw import Draw
from vinsat_sim.demo.frames import Exposure
from vinsat_sim.demo.page import Plate, write_page
from vinsat_sim.demo.picture import Track, draw_picture
from vinsat_sim.demo.story import Story

Array = NDArray[np.float64]

PICTURE, PAGE = "picture.png", "index.html"
PLATES = 3  # frames shown on the page
PLATE_SCALE = 4  # they are shown at a quarter of their size
MARK_COLOUR = (192, 224, 53)  # BGR
PLATE_QUALITY = 82
PASS_GAP_S = 1200.0  # frames further apart belong to different passes


def show(
    out: Path,
    story: Story,
    drawn: Draw,
    frames: list[Exposure],
    frames_folder: Path,
    observations: Observations,
    models: Models,
    imagery: Imagery,
) -> None:
    """Write picture.png and index.html into `out`."""
    arc = drawn.arc
    lat, lon, _ = lla_from_ecef(arc.r_ecef)
    has_frame = np.zeros(len(arc.t_s), dtype=bool)
    has_frame[[frame.index for frame in frames]] = True
    seen = np.unique(np.column_stack([observations.lon_deg, observations.lat_deg]), axis=0)
    png = draw_picture(
        out / PICTURE,
        track=Track(np.degrees(lon), np.degrees(lat), has_frame),
        score=story.score,
        regions={place.id: place.bounds_deg for place in models.manifest.region if place.detector},
        landmarks_deg=seen,
        recognised_t_s=observations.frame_t_s + (observations.epoch - arc.epoch),
        imagery=imagery,
    )
    caption = (
        "Above: the ground track, the frames, the recognised landmarks and the regions with a detector. "
        "Below: the distance between the found and the true orbit, and what the flight program claims."
    )
    plates = frame_plates(observations, frames, frames_folder, arc.epoch)
    command = f"vinsat demo --seed {story.seed}"
    write_page(out / PAGE, story=story, picture=Plate(png, caption), frames=plates, command=command)


def frame_plates(
    observations: Observations, frames: list[Exposure], folder: Path, start: Epoch
) -> list[Plate]:
    """Return, of each of the first passes, the frame with most landmarks, these marked."""
    counts = np.bincount(observations.frame_index, minlength=len(observations.frame_t_s))
    times = observations.frame_t_s
    groups = np.split(np.arange(len(times)), np.flatnonzero(np.diff(times) > PASS_GAP_S) + 1)
    by_time = {round(frame.t_s, 3): frame for frame in frames}
    plates = []
    for group in [group for group in groups if len(group)][:PLATES]:
        best = group[np.argmax(counts[group])]
        t_s = times[best] + (observations.epoch - start)
        rows = observations.frame_index == best
        path = folder / by_time[round(t_s, 3)].name
        places = ", ".join(sorted(set(observations.region[rows].tolist())))
        text = f"{t_s / 60.0:.0f} minutes after the start: {counts[best]} landmarks of {places}"
        plates.append(Plate(_marked(path, observations.uv_px[rows]), text))
    return plates


def _marked(path: Path, uv_px: Array) -> bytes:
    """Return a frame as a small JPEG with a ring around each pixel of uv_px (N, 2)."""
    image = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4)
    for u, v in uv_px / PLATE_SCALE:
        cv2.circle(image, (round(u), round(v)), 7, MARK_COLOUR, 1, cv2.LINE_AA)
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, PLATE_QUALITY])[1])
