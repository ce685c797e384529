import csv
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import simplejpeg

from flightsw.camera.model import Camera
from flightsw.errors import InputError, ModelError
from flightsw.runtime import pipeline
from flightsw.runtime.pipeline import OBSERVATIONS, REPORT, FrameSweep, run_frames
from flightsw.runtime.tables import read_observations
from flightsw.vision.finder import FrameStatus
from flightsw.vision.preprocess import MODEL_CAMERA
from flightsw.vision.track import Expectation

TOY_WORLD = Path(__file__).parents[2] / "data" / "toy_world.py"


@pytest.fixture(scope="module")
def toy() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(TOY_WORLD)))


@pytest.fixture(scope="module")
def world(toy, tmp_path_factory) -> SimpleNamespace:
    """Return a models folder, a good JPEG and one of another place."""
    folder = tmp_path_factory.mktemp("world")
    toy.write_models(folder / "models")
    field = toy.texture(1)
    return SimpleNamespace(
        models=folder / "models",
        good=jpeg(toy.render(field, toy.TRUE_POSE)),
        other=jpeg(toy.render(toy.texture(2), toy.TRUE_POSE)),
    )


def jpeg(rgb: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), 92, colorsubsampling="444")


def frames(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir()
    for second, content in contents.items():
        (folder / f"2026-03-01T12-00-{second}.000000.jpg").write_bytes(content)
    return folder


def report(out: Path) -> list[dict[str, str]]:
    with open(out / REPORT, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.verifies("VIS-107")
def test_bad_frames_among_good_ones_are_skipped_and_counted(world, tmp_path):
    folder = frames(
        tmp_path / "frames",
        {
            "00": world.good,
            "10": b"",
            "20": world.good[: len(world.good) // 2],
            "30": b"no picture at all",
            "40": world.other,
            "50": world.good,
            "55": jpeg(np.zeros((480, 640, 3), np.uint8)),
        },
    )
    summary = run_frames(folder, MODEL_CAMERA, world.models, tmp_path)
    statuses = [row["status"] for row in report(tmp_path)]
    assert statuses == ["FIX", *["UNREADABLE"] * 3, "FAILED_CHECK", "FIX", "UNREADABLE"]
    assert summary.counts == {FrameStatus.FIX: 2, FrameStatus.FAILED_CHECK: 1, FrameStatus.UNREADABLE: 4}
    seen = read_observations(tmp_path / OBSERVATIONS)
    assert len(seen) == summary.landmarks
    assert len(seen.frame_t_s) == 2
    np.testing.assert_allclose(seen.frame_t_s, [0.0, 50.0])
    assert ((seen.sigma_px > 0.2) & (seen.sigma_px < 1.0)).all()  # px
    assert "7 frames: 2 fix" in summary.sentence
    assert "640 x 480" in report(tmp_path)[-1]["detail"]


def test_times_come_from_frames_csv_and_a_listed_frame_may_be_missing(world, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "b.jpg").write_bytes(world.good)
    rows = "gone.jpg,2026-03-01T11:00:00Z\nb.jpg,2026-03-01T12:00:00.5Z\n"
    (folder / "frames.csv").write_text("file,time_utc\n" + rows)
    run_frames(folder, MODEL_CAMERA, world.models, tmp_path)
    assert [row["status"] for row in report(tmp_path)] == ["UNREADABLE", "FIX"]
    assert read_observations(tmp_path / OBSERVATIONS).epoch.utc_iso(1) == "2026-03-01T12:00:00.5Z"


def test_two_runs_give_the_same_bytes(world, tmp_path):
    folder = frames(tmp_path / "frames", {"00": world.good, "10": world.other})
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run_frames(folder, MODEL_CAMERA, world.models, tmp_path / name)
    for name in (OBSERVATIONS, REPORT):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.verifies("VIS-107")
def test_a_folder_without_one_readable_frame_is_an_error_with_both_files_written(world, tmp_path):
    folder = frames(tmp_path / "frames", {"00": b"", "10": world.good[:999]})
    with pytest.raises(InputError, match="none of 2 frames can be used"):
        run_frames(folder, MODEL_CAMERA, world.models, tmp_path)
    assert len(read_observations(tmp_path / OBSERVATIONS)) == 0
    assert len(report(tmp_path)) == 2


@pytest.mark.parametrize(
    ("magic", "name"), [(b"\x89PNG\r\n\x1a\n", "a PNG"), (b"RIFF\0\0\0\0WEBPVP8 ", "a WebP")]
)
def test_a_picture_of_another_format_is_refused_with_the_command_that_converts_it(
    world, tmp_path, magic, name
):
    folder = frames(tmp_path / "frames", {"00": world.good, "10": magic + bytes(100)})
    with pytest.raises(InputError, match=rf"12-00-10.*is {name}.*convert it: magick"):
        run_frames(folder, MODEL_CAMERA, world.models, tmp_path)
    assert not (tmp_path / OBSERVATIONS).exists()


def test_a_camera_too_coarse_is_refused_before_any_frame(world, tmp_path):
    folder = frames(tmp_path / "frames", {"00": world.good})
    with pytest.raises(InputError, match="917 m/px"):
        run_frames(folder, Camera(640, 480, 600.0, 600.0, 320.0, 240.0), world.models, tmp_path)


def test_an_altered_model_is_refused_before_any_frame(world, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(world.models, models)
    data = bytearray((models / "33T.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (models / "33T.onnx").write_bytes(bytes(data))
    folder = frames(tmp_path / "frames", {"00": world.good})
    with pytest.raises(ModelError, match=r"33T\.onnx: is altered"):
        run_frames(folder, MODEL_CAMERA, models, tmp_path)


def test_a_failure_of_the_program_costs_one_frame_and_is_counted(world, tmp_path, monkeypatch):
    real, calls = pipeline.find_landmarks, []

    def fails_once(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError("boom")
        return real(*arguments, **options)

    monkeypatch.setattr(pipeline, "find_landmarks", fails_once)
    folder = frames(tmp_path / "frames", {"00": world.good, "10": world.good})
    summary = run_frames(folder, MODEL_CAMERA, world.models, tmp_path)
    assert summary.counts == {FrameStatus.FIX: 1, FrameStatus.FAILED: 1}
    assert report(tmp_path)[0]["detail"] == "ZeroDivisionError: boom"


@pytest.mark.verifies("VIS-109")
def test_a_run_over_full_resolution_frames_stays_under_250_mb(toy, world, tmp_path):
    """The shipped models where there are any, else the toy's. VmHWM starts anew with a program."""
    shipped = Path(__file__).parents[3] / "models"
    models = shipped if (shipped / "manifest.toml").exists() else world.models
    small = toy.render(toy.texture(1), toy.TRUE_POSE)
    full = jpeg(small.repeat(4, axis=0).repeat(4, axis=1))
    folder = frames(tmp_path / "frames", {"00": full, "10": full, "20": full})
    code = (
        "import sys; from pathlib import Path\n"
        "from flightsw.runtime.pipeline import run_frames\n"
        "from flightsw.vision.preprocess import MODEL_CAMERA\n"
        "run_frames(Path(sys.argv[1]), MODEL_CAMERA.resized(4.0), Path(sys.argv[2]), Path(sys.argv[3]))\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    command = [sys.executable, "-c", code, str(folder), str(models), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(result.stdout) * 1024 < 250e6  # bytes


@pytest.mark.verifies("VIS-110")
def test_a_frame_that_gave_nothing_is_found_where_an_orbit_puts_it_and_only_there(
    toy, world, tmp_path, monkeypatch
):
    folder = frames(tmp_path / "frames", {"00": world.good, "20": world.other})
    with monkeypatch.context() as patch:  # a first look that recognises nothing
        patch.setattr(pipeline, "ALL_FINDERS", ())
        sweep = FrameSweep(folder, MODEL_CAMERA, world.models, tmp_path)
        assert sweep.look(neighbours=False).counts == {FrameStatus.ELSEWHERE: 2}
    away = toy.pose_above(46.6, 15.4, 520e3, yaw=0.7)  # 270 km off
    for pose in (away, toy.pose_above(0.0, 0.0, 520e3)):
        assert sweep.look_again([Expectation(pose, 10e3)] * 2)[1] == 0
    assert sweep.look_again([None, None])[1] == 0
    near = toy.pose_above(44.35, 15.3, 522e3, yaw=0.71)
    summary, found = sweep.look_again([Expectation(near, 10e3)] * 2)
    assert found == 1
    assert summary.counts == {FrameStatus.FIX: 1, FrameStatus.ELSEWHERE: 1}
    assert [row["found_by"] for row in report(tmp_path)] == ["tracking", ""]
    once = (tmp_path / OBSERVATIONS).read_bytes()
    assert sweep.look_again([Expectation(near, 10e3)] * 2)[1] == 0
    assert (tmp_path / OBSERVATIONS).read_bytes() == once


def test_the_same_frames_give_the_same_bytes(world, tmp_path):
    folder = frames(tmp_path / "frames", {"00": world.good, "05": world.good})
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run_frames(folder, MODEL_CAMERA, world.models, tmp_path / name)
        written.append([(tmp_path / name / file).read_bytes() for file in (OBSERVATIONS, REPORT)])
    assert written[0] == written[1]
