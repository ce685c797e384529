"""When to take frames: the Sun over the ground, a duty cycle, an energy budget."""

from bisect import bisect_right

from flightsw.astro.time import NS
from flightsw.runtime.fly.modes import Mode
from flightsw.runtime.store.records import Stamp

FORECAST_STEP_NS = 60 * NS  # between values of the forecast; see orbit_job


class Schedule:
    """Keeps the three; all times are monotonic except the forecast's.

    drained_j : taken from the battery by imaging and computing and not yet charged again.
    """

    def __init__(self, *, imaging_w: float, computing_w: float, charge_w: float) -> None:
        self._power = {Mode.IMAGING: imaging_w, Mode.COMPUTE: computing_w}
        self._charge_w = charge_w
        self._last_ns: int | None = None
        self._imaging_since: int | None = None
        self._pause_until = 0
        self._waits = False
        self._times: list[int] = []
        self._elevation: list[float] = []
        self.drained_j = 0.0

    def set_forecast(self, forecast: list[list[float]]) -> None:
        """Take [TAI ns, Sun elevation in degrees] from a determined orbit."""
        self._times = [int(row[0]) for row in forecast]
        self._elevation = [float(row[1]) for row in forecast]

    def advance(self, now: Stamp, mode: Mode, *, energy_j: float) -> None:
        """Account for the time since the last call, spent in a mode."""
        elapsed_s = 0.0 if self._last_ns is None else (now.mono_ns - self._last_ns) / NS
        self._last_ns = now.mono_ns
        power = self._power.get(mode, 0.0) - self._charge_w
        self.drained_j = max(self.drained_j + power * elapsed_s, 0.0)
        if self.drained_j > energy_j:
            self._waits = True
        elif self.drained_j <= 0.5 * energy_j:
            self._waits = False
        if mode is not Mode.IMAGING:
            self._imaging_since = None
        elif self._imaging_since is None:
            self._imaging_since = now.mono_ns

    def has_energy(self) -> bool:
        """Tell whether imaging and computing may take energy."""
        return not self._waits

    def may_image(self, now: Stamp, *, on_s: float, off_s: float, sun_min_deg: float) -> bool:
        """Tell whether frames are to be taken now."""
        if self._imaging_since is not None and now.mono_ns - self._imaging_since > on_s * NS:
            self._pause_until = now.mono_ns + round(off_s * NS)
            self._imaging_since = now.mono_ns
        if now.mono_ns < self._pause_until or self._waits:
            return False
        elevation = self.sun_elevation(now.tai_ns)
        return elevation is None or elevation >= sun_min_deg

    def sun_elevation(self, tai_ns: int) -> float | None:
        """Return the Sun's elevation over the ground below, degrees; None where it is not known."""
        index = bisect_right(self._times, tai_ns) - 1
        if index < 0 or tai_ns - self._times[index] > FORECAST_STEP_NS:
            return None
        return self._elevation[index]
