import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vinsat_sim.demo.flight import FlightRun
from vinsat_sim.demo.page import Plate, write_page
from vinsat_sim.demo.story import Story, kilometres
from vinsat_sim.score import Score

SCORE = Score(
    status="DETERMINED", reason="two passes agree", determined=True, error_ever_km=0.1,
    error_last_image_km=0.42, error_end_km=1.9, sigma_last_image_km=0.5, rms_km=0.3, passes=2,
    observations_used=400, observations_rejected=12, first_fix_min=31.0, last_image_s=9000.0,
    t_s=np.array([0.0]), error_km=np.array([0.1]), sigma_km=np.array([0.1]),
)  # fmt: skip
STORY = Story(
    seed=1, orbit="a polar orbit at 600 km", start_utc="2025-03-01T00:00:00Z", draws=3, daylit_passes=2,
    frames=980, frames_fixed=25, duration_h=6.0, cadence_s=10.0, offset_deg=0.31, cloud_cover=0.4,
    imagery="embedded imagery", credit="Made by somebody", score=SCORE,
    flight=FlightRun(0, 120.0, 180.0, Path("result"), ""), wall_s=300.0,
)  # fmt: skip


def test_the_headline_says_how_far_off_the_orbit_is_and_what_was_claimed():
    assert "off by 420 m" in STORY.headline()
    assert "500 m (1 sigma)" in STORY.headline()


def test_an_orbit_that_is_not_determined_is_never_called_found():
    one = replace(STORY, score=replace(SCORE, determined=False, status="ONE_PASS", reason="one pass only"))
    assert "found" not in one.headline()
    assert "one pass only" in one.headline()
    none = replace(SCORE, determined=False, error_last_image_km=None, reason="no landmark was seen")
    assert replace(STORY, score=none).headline() == "The orbit was not determined: no landmark was seen"


def test_the_story_names_all_three_errors_and_the_draws():
    text = " ".join(STORY.sentences())
    for words in ("draw 3", "420 m at the last image", "1.9 km propagated to the end", "100 m at its best"):
        assert words in text


def test_the_json_of_a_story_has_no_not_a_number():
    assert json.loads(json.dumps(STORY.as_json(), allow_nan=False)) == STORY.as_json()


@pytest.mark.parametrize(
    ("km", "words"), [(0.4213, "421 m"), (1.26, "1.3 km"), (None, "an unknown distance")]
)
def test_distances_are_written_for_a_reader(km, words):
    assert kilometres(km) == words


def test_the_page_holds_its_pictures_and_escapes_what_it_is_given(tmp_path):
    path = tmp_path / "index.html"
    picture = Plate(b"\x89PNG....", "a <caption>")
    frame = Plate(b"\xff\xd8", "a frame")
    write_page(path, story=STORY, picture=picture, frames=[frame], command="vinsat demo")
    text = path.read_text(encoding="utf-8")
    assert "data:image/png;base64," in text
    assert "data:image/jpeg;base64," in text
    assert "a &lt;caption&gt;" in text
    assert "<link" not in text
    assert "<script" not in text
