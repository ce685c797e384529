"""The second finder: a frame is matched with maps as a whole, without any training.

Coarse search over a place's map (`flightsw.vision.match_coarse`), then blocks of the frame
draw the best candidates in (`flightsw.vision.match_blocks`). What it proposes is settled
like everything else (`flightsw.vision.settle`).
"""

from dataclasses import dataclass, field

from flightsw.vision.maps import ReferenceMap
from flightsw.vision.match_blocks import Support, improve
from flightsw.vision.match_coarse import (
    Bank,
    Complex,
    FrameFeatures,
    coarse_search,
    frame_features,
    turned_spectrum,
)
from flightsw.vision.preprocess import ModelFrame
from flightsw.vision.settle import Mounting

CANDIDATES = 5  # of the coarse search, looked at by blocks
LEAST_CORRELATION = (1.2, 1.5)  # sum over the agreeing blocks: of a frame that shows nothing, and
# what is asked more of one that is clear throughout. Chance reaches 2.2 and 3.1; who is
# wrong is for the dense check, this spares it most.
SETTLED = 2  # proposals of a place, at most
CERTAIN_CORRELATION = 6.0  # candidates after such a one are not looked at
PIXEL_SIGMA = 2.0  # model px, of a block before the pose is drawn tight


@dataclass(slots=True)
class FrameSearch:
    """What matching needs of a frame, made when first asked for, for all maps."""

    frame: ModelFrame
    mounting: Mounting
    _features: FrameFeatures | None = field(default=None)
    _spectrum: Complex | None = field(default=None)

    @property
    def features(self) -> FrameFeatures:
        """The frame's features in its own axes."""
        if self._features is None:
            self._features = frame_features(self.frame)
        return self._features

    @property
    def spectrum(self) -> Complex:
        """The turned frame's spectra."""
        if self._spectrum is None:
            self._spectrum = turned_spectrum(self.features, self.mounting.down_cam)
        return self._spectrum


def match_place(search: FrameSearch, bank: Bank, reference: ReferenceMap) -> list[Support]:
    """Return poses that blocks of the frame agree on, most correlation first; often none."""
    down_cam = search.mounting.down_cam
    rough, _ = coarse_search(search.spectrum, bank, count=CANDIDATES, down_cam=down_cam)
    least, more = LEAST_CORRELATION
    least += more * float(search.features.usable.mean())
    found = []
    for pose in rough:
        support = improve(search.features, pose, reference, prior=search.mounting.prior(PIXEL_SIGMA))
        if support is not None and support.correlation >= least:
            found.append(support)
            if support.correlation > CERTAIN_CORRELATION:
                break
    return sorted(found, key=lambda one: -one.correlation)[:SETTLED]
