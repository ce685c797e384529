from pathlib import Path

import pytest

from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from flightsw.runtime.frame_times import read_frame_times

NAMES = ("2026-03-01T12-00-05.250000.jpg", "2026-03-01T12-00-00Z.JPEG")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


@pytest.mark.verifies("RUN-007")
def test_names_are_times(tmp_path: Path) -> None:
    touch(tmp_path, *NAMES, "README.txt", ".hidden.png")
    frames = read_frame_times(tmp_path)
    assert [frame.path.name for frame in frames] == [NAMES[1], NAMES[0]]
    assert frames[1].epoch == Epoch.from_utc("2026-03-01T12:00:05.25Z")


@pytest.mark.verifies("RUN-007")
def test_frames_csv_goes_before_names(tmp_path: Path) -> None:
    touch(tmp_path, *NAMES, "a/1.jpg", "2.jpeg")
    text = "time_utc,file\n2026-03-01T13:00:00+01:00,a/1.jpg\n2026-03-01T12:00:10Z,2.jpeg\n"
    (tmp_path / "frames.csv").write_text(text)
    frames = read_frame_times(tmp_path)
    assert [str(frame.path.relative_to(tmp_path)) for frame in frames] == ["a/1.jpg", "2.jpeg"]
    assert frames[0].epoch == Epoch.from_utc("2026-03-01T12:00:00Z")


@pytest.mark.verifies("RUN-001")
@pytest.mark.verifies("RUN-007")
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("b.jpg,2026-03-01T12:00:10Z\na.jpg,2026-03-01T12:00:00Z", "line 3, time_utc: 2026-03-01T12:00:00.0"),
        ("b.jpg,2026-03-01T12:00:10Z\na.jpg,2026-03-01T12:00:10Z", "is there twice; keep one row for each"),
        ("b.jpg,2026-03-01T12:00:10Z\nb.jpg,2026-03-01T12:00:11Z", "line 3, file: 'b.jpg' is there twice"),
        ("../b.jpg,2026-03-01T12:00:10Z", "line 2, file: '../b.jpg' leaves the folder"),
        ("/etc/b.jpg,2026-03-01T12:00:10Z", "leaves the folder"),
        ("b.png,2026-03-01T12:00:10Z", "b.png: is not a JPEG by its name; frames are"),
        ("b.jpg,2026-03-01T12:00:10", "has no zone"),
        ("b.jpg", "line 2: has 1 fields where the header has 2"),
        ("", "holds no frames (*.jpg)"),
    ],
)  # fmt: skip
def test_a_wrong_frames_csv_is_named(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "frames.csv").write_text("file,time_utc\n" + rows)
    with pytest.raises(InputError) as caught:
        read_frame_times(tmp_path)
    assert message in str(caught.value)


@pytest.mark.verifies("RUN-007")
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("frame_001.jpg",),
            "frame_001.jpg: has no time in its name; name frames like 2026-03-01T12-00-05.250000.jpg",
        ),
        (("2026-02-30T12-00-00.jpg",), "is no date"),
        (("2026-03-01T12-00-60.jpg",), "names a leap second that never was"),
        (("2026-03-01T12-00-00.jpg", "2026-03-01T12-00-00.0.jpeg"), "has the same time as"),
        (("2026-03-01T12-00-00.png",), "is not a JPEG by its name"),
        (("2026-03-01T12-00-00.jpg", "other.TIF"), "other.TIF: is not a JPEG by its name"),
        (("notes.txt",), "holds no frames (*.jpg); give the folder of the frames"),
        ((), "holds no frames"),
    ],
)
def test_a_wrong_name_is_named(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(InputError) as caught:
        read_frame_times(tmp_path)
    assert message in str(caught.value)


@pytest.mark.verifies("RUN-001")
def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "file")
    for name in ("file", "absent", "a\0b"):
        with pytest.raises(InputError, match="is not a readable folder"):
            read_frame_times(tmp_path / name)
