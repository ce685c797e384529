"""The self-test's golden frames: found where they were taken, and noticed when they are not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from flightsw.runtime.golden import frames
from flightsw.runtime.selftest import selftest
from vinsat_sim.golden_frames import golden_frames

MODELS = Path(__file__).parents[3] / "models"


def looks() -> dict[str, bool]:
    return {c.name: c.passed for c in selftest(models=MODELS) if c.name.startswith("frame ")}


@pytest.mark.verifies("PAY-049")
def test_golden_frames_are_found_where_they_were_taken():
    assert looks() == {"frame florida": True, "frame ocean": True}


@pytest.mark.verifies("PAY-049")
def test_a_golden_frame_found_elsewhere_or_not_at_all_fails_the_self_test(monkeypatch):
    florida, ocean = frames.golden_frames()
    x, y, z = florida.r_ecef_m
    moved = replace(florida, r_ecef_m=(x + 10e3, y, z))
    unseen = replace(ocean, region="17R")
    unexpected = replace(florida, region="")
    for wrong in (moved, unseen, unexpected):
        monkeypatch.setattr(frames, "golden_frames", lambda wrong=wrong: (wrong,))
        assert list(looks().values()) == [False]


def test_the_stored_golden_frames_are_what_the_renderer_makes():
    for name, content in golden_frames().items():
        stored = (frames.FOLDER / name).read_bytes()
        if isinstance(content, str):
            assert stored == content.encode()
        else:
            ours, theirs = (pixels(data) for data in (content, stored))
            assert np.abs(ours.astype(int) - theirs).mean() < 2.0  # levels: encoders differ a little


def pixels(data: bytes) -> np.ndarray:
    return simplejpeg.decode_jpeg(data)
