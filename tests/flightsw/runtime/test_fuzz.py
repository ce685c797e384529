"""Whatever bytes a file holds, a parser returns a value or raises InputError."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flightsw.camera.load import load_camera
from flightsw.errors import InputError
from flightsw.runtime.frame_times import read_frame_times
from flightsw.runtime.tables import read_attitude, read_gyro, read_observations

SAME_FOLDER = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    derandomize=True,
)

HEAD = "time_utc,landmark_id,lon_deg,lat_deg,height_m,u_px,v_px,confidence,sigma_px,region"
TIMES = [f"2016-12-31T23:59:{second}Z" for second in ("58", "59.5", "60")]
SAMPLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "observations.csv": (read_observations, "\n".join([HEAD, *(f"{t},a,1,2,3,4,5,.6,7,b" for t in TIMES)])),
    "attitude.csv": (
        read_attitude,
        "\n".join(["time_utc,qw,qx,qy,qz,sigma_deg", *(f"{t},0,.6,0,.8," for t in TIMES)]),
    ),
    "gyro.csv": (
        read_gyro,
        "\n".join(["time_utc,wx_rad_s,wy_rad_s,wz_rad_s", *(f"{t},0,1e-3,0" for t in TIMES)]),
    ),
    "frames.csv": (
        lambda path: read_frame_times(path.parent),
        "\n".join(["file,time_utc", *(f"{i}.jpg,{t}" for i, t in enumerate(TIMES))]),
    ),
    "camera.toml": (
        load_camera,
        "width_px = 64\nheight_px = 48\nfx_px = 50.0\nfy_px = 50.0\ncx_px = 32.0\ncy_px = 24.0\n"
        "distortion = [0.0, 0.0, 0.0, 0.0, 0.0]\ncam_from_body = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\n",
    ),
}

PIECES = st.one_of(
    st.binary(max_size=6),
    st.sampled_from(
        [b",", b"\n", b"\r", b'"', b"nan", b"inf", b"-", b"1e999", b"9999", b"\0", b"\xff", b"["]
    ),
)  # fmt: skip


def check(read: Callable[[Path], object], path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        assert read(path) is not None
        return
    except InputError as error:
        message = str(error)
    assert path.parent.name in message
    assert "\n" not in message
    assert len(message) < 1000


@pytest.mark.verifies("RUN-013")
@pytest.mark.parametrize("name", SAMPLES)
def test_the_sample_itself_is_read(tmp_path: Path, name: str) -> None:
    read, text = SAMPLES[name]
    (tmp_path / name).write_text(text)
    assert read(tmp_path / name) is not None


@pytest.mark.verifies("RUN-013")
@pytest.mark.parametrize("name", SAMPLES)
@SAME_FOLDER
@given(content=st.binary(max_size=400))
def test_random_bytes_give_a_value_or_an_input_error(tmp_path: Path, name: str, content: bytes) -> None:
    check(SAMPLES[name][0], tmp_path / name, content)


@pytest.mark.verifies("RUN-013")
@pytest.mark.parametrize("name", SAMPLES)
@SAME_FOLDER
@given(data=st.data())
def test_mutated_files_give_a_value_or_an_input_error(tmp_path: Path, name: str, data: st.DataObject) -> None:
    read, text = SAMPLES[name]
    content = text.encode()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(start + 15, len(content))))
        content = content[:start] + data.draw(PIECES) + content[stop:]
    check(read, tmp_path / name, content)


@pytest.mark.verifies("RUN-013")
@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_cut_off_anywhere_gives_a_value_or_an_input_error(tmp_path: Path, name: str) -> None:
    read, text = SAMPLES[name]
    for length in range(0, len(text), 3):
        check(read, tmp_path / name, text.encode()[:length])


@pytest.mark.verifies("RUN-013")
@SAME_FOLDER
@given(
    stem=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
)
def test_any_name_of_a_frame_gives_a_value_or_an_input_error(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.jpg"
    path.write_bytes(b"")
    try:
        assert [frame.path for frame in read_frame_times(tmp_path)] == [path]
    except InputError:
        pass  # the other outcome
    finally:
        path.unlink()
