"""What happened in one demo, in plain words and as the JSON object the command promises."""

from dataclasses import dataclass
from typing import Any

from vinsat_sim.demo.flight import FlightRun
from vinsat_sim.score import Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One demo: what was drawn, how it flew and how it scored.

    orbit : in words, with altitude and inclination; draws : orbits drawn until one had
    enough daylit passes over places with a detector; frames : their number; frames_fixed :
    those whose place was recognised; duration_h, cadence_s of the arc; offset_deg : the
    hidden pointing offset; cloud_cover : 0..1; wall_s : the whole demo.
    """

    seed: int
    orbit: str
    start_utc: str
    draws: int
    daylit_passes: int
    frames: int
    frames_fixed: int
    duration_h: float
    cadence_s: float
    offset_deg: float
    cloud_cover: float
    imagery: str
    credit: str
    score: Score
    flight: FlightRun
    wall_s: float

    def as_json(self) -> dict[str, Any]:
        """Return exactly the keys `vinsat demo --json` promises."""
        score = self.score
        return {
            "status": score.status,
            "error_ever_km": score.error_ever_km,
            "error_last_image_km": score.error_last_image_km,
            "error_end_km": score.error_end_km,
            "sigma_last_image_km": score.sigma_last_image_km,
            "passes": score.passes,
            "observations_used": score.observations_used,
            "observations_rejected": score.observations_rejected,
            "first_fix_min": score.first_fix_min,
            "wall_s": self.wall_s,
            "peak_rss_mb": self.flight.peak_rss_mb,
        }

    def headline(self) -> str:
        """Return the one sentence that matters."""
        score = self.score
        if score.error_last_image_km is None:
            return f"The orbit was not determined: {score.reason}"
        if not score.determined:
            return (
                f"The flight program does not call the orbit determined ({score.reason}); "
                f"its best guess is off by {kilometres(score.error_last_image_km)}."
            )
        return (
            f"The orbit was found: at the last image it is off by {kilometres(score.error_last_image_km)}; "
            f"the flight program itself expects {kilometres(score.sigma_last_image_km)} (1 sigma)."
        )

    def sentences(self) -> list[str]:
        """Return what happened, in order."""
        return [*self._before(), *self._after()]

    def _before(self) -> list[str]:
        count = "the first draw" if self.draws == 1 else f"draw {self.draws}"
        return [
            f"Seed {self.seed} gave {self.orbit}, from {self.start_utc} on; {count} had "
            f"{self.daylit_passes} daylit passes over places with a detector.",
            f"In {self.duration_h:g} hours the camera took {self.frames} frames, one every "
            f"{self.cadence_s:g} s wherever the ground was sunlit, under {self.cloud_cover:.0%} of cloud; "
            f"it pointed {self.offset_deg:.2f} degrees beside the nadir.",
            "The flight program was given the frames, the camera and the models, and nothing else.",
        ]

    def _after(self) -> list[str]:
        score = self.score
        lines = []
        if score.first_fix_min is None:
            lines.append("It recognised no place in any frame.")
        else:
            lines.append(
                f"It recognised the place in {self.frames_fixed} frames, first after "
                f"{score.first_fix_min:.0f} minutes, and used {score.observations_used} landmark "
                f"sightings of {_passes(score.passes)}; it rejected {score.observations_rejected}."
            )
        if score.error_ever_km is not None:
            lines.append(
                f"Error: {kilometres(score.error_last_image_km)} at the last image, "
                f"{kilometres(score.error_end_km)} propagated to the end of the arc, "
                f"{kilometres(score.error_ever_km)} at its best."
            )
        lines.append(
            f"The flight program ran {self.flight.wall_s:.0f} s and needed at most "
            f"{self.flight.peak_rss_mb:.0f} MB; the whole demo took {self.wall_s:.0f} s."
        )
        return lines


def kilometres(value: float | None) -> str:
    """Return a distance for a reader: metres below one kilometre."""
    if value is None:
        return "an unknown distance"
    return f"{value * 1000.0:.0f} m" if abs(value) < 1.0 else f"{value:.1f} km"


def _passes(count: int) -> str:
    return "one pass" if count == 1 else f"{count} passes"
