"""Frames at their cadence."""

import pytest

from flightsw.astro.time import NS
from flightsw.runtime.fly.imaging import Imaging
from flightsw.runtime.store.records import Stamp


class Counting:
    """A camera that remembers when it was asked."""

    def __init__(self):
        self.asked_s = []

    def request(self, now):
        self.asked_s.append(now.mono_ns / NS)

    def poll(self, now):
        return None

    def stop(self):
        pass


def asked_at(times_s, *, period_s):
    camera = Counting()
    imaging = Imaging(camera, None, None, retry_s=1.0)
    for t_s in times_s:
        imaging.step(Stamp(1, round(t_s * NS), 0), period_s=period_s, arc=1)
    return camera.asked_s


@pytest.mark.verifies("PAY-026")
def test_a_loop_that_comes_late_keeps_the_cadence():
    """Found by the real-time rung: 701 of 720 frames in an hour, for every delay added up."""
    asked_s = asked_at([0.2 * k for k in range(18_000)], period_s=4.9)  # not a multiple of the loop's 0.2 s
    assert len(asked_s) == pytest.approx(3600.0 / 4.9, abs=1.5)
    assert all(-1e-6 < t - 4.9 * k < 0.2 + 1e-6 for k, t in enumerate(asked_s))


def test_after_a_long_pause_no_frames_are_made_up_for():
    assert asked_at([0.0, 5.0, 100.0, 101.0, 105.0], period_s=5.0) == [0.0, 5.0, 100.0, 105.0]
