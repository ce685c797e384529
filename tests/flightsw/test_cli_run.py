"""`flightsw run` without networks: what surrounds the looking at frames, which is tested in runtime/."""

import json
from pathlib import Path

import pytest

from flightsw.astro.time import Epoch
from flightsw.cli import main
from flightsw.runtime import run as run_module
from flightsw.runtime.pipeline import FramesSummary
from flightsw.runtime.tables import rows_of, write_observations
from flightsw.vision.finder import FrameStatus

EMPTY = "time_utc,landmark_id,lon_deg,lat_deg,height_m,u_px,v_px,confidence,sigma_px,region\n"


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Return a folder with one frame, which is no picture."""
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "2026-03-01T12-00-00.jpg").write_bytes(b"no picture")
    return folder


def run(frames: Path, camera: Path, out: Path, *more: str) -> int:
    arguments = ["--frames", str(frames), "--camera", str(camera), "--models", str(out.parent / "models")]
    return main(["run", *arguments, "--out", str(out), *more])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def looks(monkeypatch: pytest.MonkeyPatch, rows: list) -> None:
    """Let `run` find the given rows in any frames."""

    class Sweep:
        """Finds the rows once, and nothing more with an orbit."""

        epochs: tuple[Epoch, ...] = ()

        def __init__(self, frames: Path, camera: object, models: Path, out: Path) -> None:
            self.out = out

        def look(self, *, neighbours: bool) -> FramesSummary:
            write_observations(self.out / "observations.csv", rows)
            return FramesSummary({FrameStatus.FIX: 2, FrameStatus.BLACK: 1}, len(rows))

        def look_again(self, expected: list) -> tuple[FramesSummary, int]:
            return self.look(neighbours=True), 0

    monkeypatch.setattr(run_module, "FrameSweep", Sweep)


@pytest.mark.verifies("RUN-008")
@pytest.mark.verifies("RUN-009")
def test_run_ends_in_observations_and_an_orbit(frames, case_files, tmp_path, capsys, monkeypatch) -> None:
    looks(monkeypatch, rows_of(case_files.case.observations))
    assert run(frames, case_files.camera, tmp_path / "out", "--json") == 0
    assert names(tmp_path / "out") == ["ephemeris.csv", "observations.csv", "orbit.oem", "solution.json"]
    data = json.loads(capsys.readouterr().out)
    assert data["status"] == "DETERMINED"
    assert data["inputs"]["frames_by_status"] == {"FIX": 2, "BLACK": 1}


@pytest.mark.verifies("RUN-009")
def test_readable_frames_without_landmarks_are_not_determined(
    frames, case_files, tmp_path, capsys, monkeypatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "orbit.oem").write_text("of an earlier run")
    looks(monkeypatch, [])
    assert run(frames, case_files.camera, out) == 4
    assert names(out) == ["observations.csv", "solution.json"]
    assert (out / "observations.csv").read_text() == EMPTY
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["3 frames: 2 fix, 1 black; 0 landmarks", "NO_LANDMARKS: no landmark was seen"]


@pytest.mark.verifies("RUN-006")
@pytest.mark.verifies("RUN-009")
def test_a_camera_too_coarse_is_refused_with_an_empty_observations_file(frames, tmp_path, capsys) -> None:
    camera = tmp_path / "cam.toml"
    camera.write_text(
        "width_px = 640\nheight_px = 480\nfx_px = 200.0\nfy_px = 200.0\ncx_px = 320.0\ncy_px = 240.0\n"
        "distortion = [0, 0, 0, 0, 0]\ncam_from_body = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\n"
    )
    out = tmp_path / "out"
    out.mkdir()
    (out / "solution.json").write_text("of an earlier run")
    assert run(frames, camera, out) == 3
    assert "cam.toml" in one_line(capsys)
    assert names(out) == ["observations.csv"]
    assert (out / "observations.csv").read_text() == EMPTY


@pytest.mark.verifies("RUN-001")
@pytest.mark.verifies("RUN-009")
def test_a_wrong_input_of_run_is_one_line_and_writes_nothing(frames, case_files, tmp_path, capsys) -> None:
    out, camera = tmp_path / "out", case_files.camera
    assert run(tmp_path / "absent", camera, out) == 3
    assert "absent: is not a readable folder" in one_line(capsys)
    assert run(frames, frames / "cam.toml", out) == 3
    assert "cam.toml: does not exist" in one_line(capsys)
    assert run(frames, camera, out) == 3  # no models
    assert "manifest.toml" in one_line(capsys)
    (frames / "frames.csv").write_text("file,time_utc\na.jpg,2026-03-01T12:00:00\n")
    assert run(frames, camera, out) == 3
    assert "frames.csv: line 2, time_utc: '2026-03-01T12:00:00' has no zone" in one_line(capsys)
    assert names(out) == []


@pytest.mark.verifies("RUN-007")
def test_a_picture_that_is_no_jpeg_is_refused_with_the_command_that_converts_it(
    frames, case_files, tmp_path, capsys
) -> None:
    (frames / "2026-03-01T12-00-10.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert run(frames, case_files.camera, tmp_path / "out") == 3
    assert "convert it: magick 2026-03-01T12-00-10.png" in one_line(capsys)


@pytest.mark.verifies("RUN-003")
def test_run_finds_an_unwritable_folder_before_it_looks_at_frames(
    frames, case_files, tmp_path, capsys
) -> None:
    (tmp_path / "file").write_text("")
    assert run(frames, case_files.camera, tmp_path / "file" / "out") == 2
    assert "cannot be written" in one_line(capsys)


@pytest.mark.verifies("RUN-009")
def test_an_end_before_the_frames_is_a_usage_error(frames, case_files, tmp_path, capsys) -> None:
    assert run(frames, case_files.camera, tmp_path / "out", "--until", "2026-02-01T00:00:00Z") == 2
    assert "is before the data" in one_line(capsys)
