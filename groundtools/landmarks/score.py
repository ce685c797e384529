"""How well a place can be found again: distinctive, contrasted, a corner, seen by all.

    score = sqrt(distinctiveness - 0.03) x chip contrast x corner strength x agreement

distinctiveness  1 - the best normalised correlation of the chip, turned to any of eight
                 yaws, with any other place of the region: the second peak alone picks
                 faint inland texture and no coast, hence the other factors
contrast         standard deviation of the chip's detail (what a blur of 3 km removes),
                 saturating: a plain that one imagery shows as a blur does not count
corner strength  smaller eigenvalue of the structure tensor at 1.2 km: both coordinates
                 are fixed, not only the one across a shore
agreement        correlation of the chip's detail between the imageries (1 with one
                 imagery): shores agree
Each factor but the last is the weakest over the imageries.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]
Array = NDArray[np.float64]

CHIP_PX = 61  # of 620 m: 38 km
COARSE = 4  # distinctiveness is judged at 2.5 km
YAWS = 8
CORNER_BLUR_PX = 1.6
CORNER_BLOCK_PX = 9
NEAREST_PX = 9  # between candidates: 5.6 km
CONTRAST_FULL = 12.0  # grey levels, at which contrast counts fully
JUDGED = 260  # candidates whose distinctiveness is searched, the dearest factor
CORNER_FULL = 1.0  # times the best per cent of the region
FLOOR = 0.03  # 0.1 suits a search without yaws; with them second peaks are higher
DETAIL_BLUR_PX = 5.0


@dataclass(frozen=True, slots=True)
class Candidates:
    """xy_px (N, 2) on the grid and their factors (N,), best score first."""

    xy_px: Array
    distinctiveness: Array
    contrast: Array
    corner: Array
    agreement: Array

    @property
    def score(self) -> Array:
        """The product of the module's head."""
        root = np.sqrt(np.maximum(self.distinctiveness - FLOOR, 0.0))
        return np.asarray(root * self.contrast * self.corner * self.agreement)


def corner_strength(grey: Grey) -> Grey:
    """Return the smaller eigenvalue's square root, scaled so that the best per cent is >= 1.

    It is not limited here, or the best corners would be plateaus without a peak.
    """
    smooth = cv2.GaussianBlur(grey, (0, 0), CORNER_BLUR_PX)
    response = np.sqrt(np.maximum(cv2.cornerMinEigenVal(smooth, CORNER_BLOCK_PX), 0.0))
    return np.asarray(response / np.quantile(response, 0.99), np.float32)


def find_candidates(greys: list[Grey], margin_px: int, count: int) -> Candidates:
    """Return up to `count` candidates inside the margin, by corner strength, with factors.

    greys : one picture an imagery, same grid (rows, columns).
    """
    corner = np.min([corner_strength(grey) for grey in greys], axis=0)
    peak = corner == cv2.dilate(corner, np.ones((2 * NEAREST_PX + 1, 2 * NEAREST_PX + 1), np.uint8))
    inner = np.zeros_like(peak)
    inner[margin_px:-margin_px, margin_px:-margin_px] = True
    v, u = np.nonzero(peak & inner & (corner > 0.02))
    best = np.argsort(-corner[v, u], kind="stable")[:count]
    u, v = u[best], v[best]
    details = [grey - cv2.GaussianBlur(grey, (0, 0), DETAIL_BLUR_PX) for grey in greys]
    contrast = np.min([_contrast(detail, u, v) for detail in details], axis=0)
    agreement = _agreement(details, u, v)
    strength = np.minimum(corner[v, u], CORNER_FULL).astype(float)
    best = np.argsort(-contrast * agreement * strength, kind="stable")[:JUDGED]
    u, v = u[best], v[best]
    second = np.max([_second_peak(grey, u, v) for grey in greys], axis=0)
    xy = np.stack([u, v], axis=1) + 0.5
    return Candidates(xy, 1.0 - second, contrast[best], strength[best], agreement[best])


def _contrast(grey: Grey, u: NDArray[np.int64], v: NDArray[np.int64]) -> Array:
    size = (CHIP_PX, CHIP_PX)
    mean, square = cv2.blur(grey, size), cv2.blur(grey * grey, size)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))[v, u]
    return np.minimum(deviation / CONTRAST_FULL, 1.0).astype(float)


def _agreement(greys: list[Grey], u: NDArray[np.int64], v: NDArray[np.int64]) -> Array:
    """Return the chips' normalised correlation between the first imagery and the worst other."""
    size = (CHIP_PX, CHIP_PX)
    out = np.ones(len(u))
    first, mean_first = greys[0], cv2.blur(greys[0], size)
    var_first = cv2.blur(first * first, size) - mean_first**2
    for other in greys[1:]:
        mean = cv2.blur(other, size)
        variance = cv2.blur(other * other, size) - mean**2
        covariance = cv2.blur(first * other, size) - mean_first * mean
        ncc = covariance / np.sqrt(np.maximum(var_first * variance, 1e-3))
        out = np.minimum(out, np.clip(ncc[v, u], 0.0, 1.0))
    return out


def _second_peak(grey: Grey, u: NDArray[np.int64], v: NDArray[np.int64]) -> Array:
    """Return each chip's best correlation with any other place, over yaws."""
    size = (grey.shape[1] // COARSE, grey.shape[0] // COARSE)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    chip = CHIP_PX // COARSE  # 15
    out = np.full(len(u), -1.0)
    for n, (x, y) in enumerate(zip(u / COARSE - 0.5, v / COARSE - 0.5, strict=True)):
        for k in range(YAWS):
            matrix = cv2.getRotationMatrix2D((float(x), float(y)), 360.0 * k / YAWS, 1.0)
            matrix[:, 2] += (chip - 1) / 2.0 - np.array([x, y])
            template = cv2.warpAffine(small, matrix, (chip, chip), borderMode=cv2.BORDER_REFLECT_101)
            if template.std() < 1.0:
                continue
            found = cv2.matchTemplate(small, template, cv2.TM_CCOEFF_NORMED)
            cx, cy = round(x) - chip // 2, round(y) - chip // 2
            found[max(0, cy - 4) : max(0, cy + 5), max(0, cx - 4) : max(0, cx + 5)] = -1.0
            out[n] = max(out[n], float(found.max()))
    return out
