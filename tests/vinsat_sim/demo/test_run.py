"""A small demo from seed to page, and what its flight process could have known."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import flightsw
from flightsw.astro.time import Epoch
from groundtools import models_folder
from vinsat_sim.demo import flight
from vinsat_sim.demo.run import DemoOptions, run_demo
from vinsat_sim.scenario import SCENARIOS

SEED = 3
DEMO_KEYS = [
    "status", "error_ever_km", "error_last_image_km", "error_end_km", "sigma_last_image_km", "passes",
    "observations_used", "observations_rejected", "first_fix_min", "wall_s", "peak_rss_mb",
]  # fmt: skip
FOREIGN = ("torch", "cv2", "skyfield", "rasterio", "matplotlib", "brahe", "vinsat_sim", "groundtools",
           "scipy.optimize", "scipy.spatial")  # fmt: skip
PEAK_LIMIT_MB = 250.0
JPEG_START, JPEG_SCAN = 0xD8, 0xDA
JFIF, COMMENT = 0xE0, 0xFE

# Runs in the flight process before the flight program: notes every file Python opens,
# and at the end what else the process could see.
WATCH = """
import atexit, json, os, sys
opened = []
sys.addaudithook(lambda event, arguments: event == "open" and opened.append(str(arguments[0])))
seen = {"argv": sys.argv[1:], "environment": dict(os.environ), "cwd": os.getcwd(), "path": list(sys.path),
        "descriptors": [os.readlink(f"/proc/self/fd/{n}") for n in sorted(os.listdir("/proc/self/fd"))
                        if os.path.exists(f"/proc/self/fd/{n}")]}
def note():
    seen["opened"], seen["modules"] = list(opened), sorted(sys.modules)
    with open("seen.json", "w") as file:
        json.dump(seen, file)
atexit.register(note)
"""


@pytest.fixture(scope="module")
def small_scenario(tmp_path_factory) -> Path:
    """Return the demo's scenario with a sixth of its frames and one pass to be had."""
    text = (SCENARIOS / "demo.toml").read_text(encoding="utf-8")
    for was, becomes in (("duration_h = 6.0", "duration_h = 1.6"), ("required = 2", "required = 1")):
        assert was in text
        text = text.replace(was, becomes)
    text = text.replace("cadence_s = 10.0", "cadence_s = 40.0").replace("frames = 3", "frames = 1")
    path = tmp_path_factory.mktemp("scenario") / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory, small_scenario):
    """Return (folder, story) of a small demo whose frames were kept."""
    if not (models_folder() / "manifest.toml").is_file():
        pytest.skip("needs the models folder")
    out = tmp_path_factory.mktemp("demo")
    options = DemoOptions(out=out, scenario=str(small_scenario), keep_frames=True)
    return out, run_demo(SEED, options)


def end_of_arc(out: Path) -> Epoch:
    with (out / "truth" / "states.csv").open(encoding="utf-8") as file:
        return Epoch.from_utc(list(csv.DictReader(file))[-1]["time_utc"])


def fly_alone(out: Path, folder: Path, until: Epoch, *, entry: str = flight.ENTRY) -> Path:
    """Run the flight program over copies of the kept frames, in `folder`; return its results."""
    shutil.copytree(out / flight.FRAMES, folder / flight.FRAMES)
    shutil.copyfile(out / flight.CAMERA, folder / flight.CAMERA)
    command = flight.flight_command(models_folder(), until)
    command[command.index(flight.ENTRY)] = entry
    result = subprocess.run(
        command,
        cwd=folder,
        env=flight.flight_environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode in (0, 4), result.stderr
    return folder / flight.RESULT


@pytest.fixture(scope="module")
def watched(small_demo, tmp_path_factory) -> tuple[dict, Path]:
    """Return what the flight process could see, and the folder it ran in."""
    folder = tmp_path_factory.mktemp("watched")
    fly_alone(small_demo[0], folder, end_of_arc(small_demo[0]), entry=WATCH + flight.ENTRY)
    return json.loads((folder / "seen.json").read_text(encoding="utf-8")), folder


@pytest.mark.verifies("SIM-104")
def test_a_demo_prints_exactly_the_promised_keys(small_demo):
    out, story = small_demo
    assert list(story.as_json()) == DEMO_KEYS
    assert list(json.loads((out / "summary.json").read_text(encoding="utf-8"))) == DEMO_KEYS


def test_a_demo_leaves_its_products_a_picture_and_a_page_that_needs_nothing_else(small_demo):
    out, story = small_demo
    names = {path.name for path in out.iterdir()}
    assert {"observations.csv", "solution.json", "picture.png", "index.html", "summary.json"} <= names
    page = (out / "index.html").read_text(encoding="utf-8")
    assert 'src="data:image/png;base64,' in page
    words = re.sub(r"base64,[^\"]+", "", page)  # four given letters are found in a picture by chance
    assert "http" not in words.replace("http-equiv", "")
    assert story.credit in page


@pytest.mark.verifies("SIM-105")
def test_the_flight_program_stays_under_250_mb(small_demo):
    assert 30.0 < small_demo[1].flight.peak_rss_mb < PEAK_LIMIT_MB


@pytest.mark.verifies("SIM-106")
def test_the_result_is_the_same_with_the_truth_gone(small_demo, tmp_path):
    out, _ = small_demo
    until = end_of_arc(out)
    before = {name: (out / name).read_bytes() for name in ("observations.csv", "solution.json")}
    (out / "truth").rename(tmp_path / "hidden")
    try:
        result = fly_alone(out, tmp_path / "alone", until)
    finally:
        (tmp_path / "hidden").rename(out / "truth")
    assert {name: (result / name).read_bytes() for name in before} == before


@pytest.mark.verifies("SIM-106")
def test_no_argument_variable_or_open_file_of_the_flight_process_leads_to_the_truth(small_demo, watched):
    seen, folder = watched
    assert set(seen["environment"]) <= {"PATH", "HOME", "LANG", "LC_CTYPE"}  # the last is Python's own
    places = [str(folder), str(models_folder().resolve())]
    for argument in seen["argv"]:
        assert not argument.startswith("/") or argument in places, argument
    assert seen["cwd"] == str(folder)
    allowed = ("/dev/", "pipe:", "/proc/", "socket:", "anon_inode:")
    for target in seen["descriptors"]:
        assert target.startswith(allowed), f"an open file is passed on: {target}"


@pytest.mark.verifies("SIM-106")
def test_the_flight_process_opens_frames_camera_models_and_its_own_program_only(watched):
    seen, folder = watched
    program = [sys.prefix, sys.base_prefix, str(Path(flightsw.__file__).parent)]
    system = ["/proc/", "/sys/", "/dev/", "/etc/", "/usr/"]
    allowed = (str(folder), str(models_folder().resolve()), *program, *system)
    for name in seen["opened"]:
        path = name if os.path.isabs(name) else os.path.join(seen["cwd"], name)
        if not name.isdigit():  # a descriptor that Python already holds
            assert os.path.realpath(path).startswith(allowed), f"the flight program opened {name}"


@pytest.mark.verifies("RUN-105")
def test_the_flight_program_loads_nothing_of_the_ground(watched):
    modules = watched[0]["modules"]
    loaded = [name for name in modules if name.startswith(tuple(f"{f}." for f in FOREIGN)) or name in FOREIGN]
    assert not loaded
    assert "onnxruntime" in modules  # it did run the networks


@pytest.mark.verifies("SIM-106")
def test_frames_carry_pixels_and_nothing_else(small_demo):
    frames = sorted((small_demo[0] / flight.FRAMES).glob("*.jpg"))
    assert frames
    for path in frames:
        assert segments(path.read_bytes()) <= {JFIF}, path.name


@pytest.mark.verifies("SIM-106")
def test_frames_are_named_by_their_time_on_one_fixed_grid(small_demo):
    out, story = small_demo
    with (out / flight.FRAMES / "frames.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == sorted(path.name for path in (out / flight.FRAMES).glob("*.jpg"))
    start = Epoch.from_utc(story.start_utc)
    for row in rows:
        since = Epoch.from_utc(row["time_utc"]) - start
        assert since % story.cadence_s == pytest.approx(0.0, abs=1e-6)  # s
        assert row["file"] == row["time_utc"].replace(":", "-").replace("Z", ".jpg")


@pytest.mark.verifies("SIM-107")
def test_the_same_seed_gives_the_same_observations_and_solution(small_demo, small_scenario, tmp_path):
    out, _ = small_demo
    run_demo(SEED, DemoOptions(out=tmp_path, scenario=str(small_scenario), workers=1))
    for name in ("observations.csv", "solution.json"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()
    assert not (tmp_path / flight.FRAMES).exists()


def test_a_flight_program_that_fails_is_reported_with_its_own_words(small_demo, tmp_path):
    shutil.copytree(small_demo[0] / flight.FRAMES, tmp_path / flight.FRAMES)
    (tmp_path / flight.CAMERA).write_text("width_px = 0\n", encoding="utf-8")
    heard: list[str] = []
    flown = flight.fly(tmp_path, models_folder(), end_of_arc(small_demo[0]), listen=heard.append)
    assert flown.exit_code == 3
    assert flight.CAMERA in flown.last_words
    assert heard


def segments(jpeg: bytes) -> set[int]:
    """Return the application and comment segments of a JPEG file, by marker."""
    assert jpeg[:2] == bytes((0xFF, JPEG_START))
    found, at = set(), 2
    while jpeg[at + 1] != JPEG_SCAN:
        marker = jpeg[at + 1]
        if JFIF <= marker <= 0xEF or marker == COMMENT:
            found.add(marker)
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return found
