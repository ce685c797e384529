import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.camera.load import CameraFile, load_camera
from flightsw.config import parse_toml
from flightsw.errors import InputError

GOOD = """
width_px = 4608
height_px = 2592
fx_px = 3547.85
fy_px = 3547.85
cx_px = 2304.0
cy_px = 1296
distortion = [0.01, -0.002, 0.0, 0.0, 0.0]
cam_from_body = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
line_time_s = 1e-5
"""


def load(tmp_path: Path, text: str):
    path = tmp_path / "cam.toml"
    path.write_text(text)
    return load_camera(path)


@pytest.mark.verifies("RUN-006")
def test_a_camera_file_becomes_a_camera(tmp_path: Path) -> None:
    camera = load(tmp_path, GOOD)
    assert (camera.width_px, camera.height_px, camera.fx_px, camera.cy_px) == (4608, 2592, 3547.85, 1296.0)
    assert camera.distortion == (0.01, -0.002, 0.0, 0.0, 0.0)
    assert camera.line_time_s == 1e-5
    np.testing.assert_array_equal(camera.cam_from_body, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]])


@pytest.mark.verifies("RUN-006")
def test_only_the_line_time_may_be_left_out(tmp_path: Path) -> None:
    for line in GOOD.strip().splitlines():
        key = line.split(" ")[0]
        if key == "line_time_s":
            assert load(tmp_path, GOOD.replace(line, "")).line_time_s == 0.0
            continue
        with pytest.raises(InputError, match=rf"cam\.toml: {key}: is missing; add {key} = "):
            load(tmp_path, GOOD.replace(line, ""))


@pytest.mark.verifies("RUN-006")
def test_a_matrix_written_with_five_decimals_becomes_an_exact_rotation(tmp_path: Path) -> None:
    c, s = round(math.cos(0.3), 5), round(math.sin(0.3), 5)
    camera = load(tmp_path, GOOD.replace("[[0, 1, 0], [-1, 0, 0]", f"[[{c}, {s}, 0], [{-s}, {c}, 0]"))
    np.testing.assert_allclose(camera.cam_from_body @ camera.cam_from_body.T, np.eye(3), atol=1e-15)


@pytest.mark.verifies("RUN-001")
@pytest.mark.verifies("RUN-006")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fx_px = 3547.85", "fx_px = 0", "fx_px: 0 is not a focal length"),
        ("fy_px = 3547.85", "fy_px = -3547.85", "fy_px: -3547.85 is not a focal length"),
        ("fy_px = 3547.85", "fy_px = inf", "fy_px: must be a finite number"),
        ("width_px = 4608", "width_px = 0", "width_px: 0 is not an image size; give 1 to 100000"),
        ("height_px = 2592", "height_px = -1", "height_px: -1 is not an image size"),
        ("height_px = 2592", "height_px = 2592.0", "height_px: must be an integer, got 2592.0"),
        ("height_px = 2592", "height_px = 10000000", "height_px: 10000000 is not an image size"),
        ("cx_px = 2304.0", "cx_px = 9e9", "cx_px: 9e+09 is far outside the image"),
        ("cx_px = 2304.0", "cx = 2304.0", "cx: is an unknown key; did you mean cx_px?"),
        ("[0.01, -0.002, 0.0, 0.0, 0.0]", "[0.01]", "distortion: has 1 elements; give exactly 5"),
        ("[0.01, -0.002, 0.0, 0.0, 0.0]", "[0, 0, 0, 0, 1e30]", "distortion[4]: 1e+30 is too large"),
        ("[[0, 1, 0]", "[[0, -1, 0]", "cam_from_body: is a reflection, not a rotation"),
        ("[[0, 1, 0]", "[[0, 0.9, 0]", "cam_from_body: is not a rotation: its rows are not orthonormal"),
        ("[[0, 1, 0]", "[[0, 1e300, 0]", "cam_from_body: is not a rotation: an element exceeds 1"),
        ("[[0, 1, 0]", "[[0, 0, 0]", "cam_from_body: is not a rotation"),
        ("[[0, 1, 0]", "[[0, 1]", "cam_from_body[0]: has 2 elements; give exactly 3"),
        ("[[0, 1, 0]", "[0, 1, 0]\n#", "cam_from_body[0]: must be an array, got 0"),
        ("line_time_s = 1e-5", "line_time_s = 1", "line_time_s: 1 s is too long"),
    ],
)
def test_a_wrong_camera_is_refused_with_key_and_fix(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert f"cam.toml: {message}" in str(caught.value)


@pytest.mark.verifies("RUN-013")
@settings(deadline=None, derandomize=True)
@given(st.data())
def test_any_mutation_of_a_camera_gives_a_camera_or_an_input_error(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    stop = data.draw(st.integers(start, min(start + 12, len(GOOD))))
    pieces = st.one_of(st.text("0123456789.e-+[], ", max_size=8), st.sampled_from(["nan", "1e308", "-0.0"]))
    try:
        file = parse_toml(GOOD[:start] + data.draw(pieces) + GOOD[stop:], CameraFile)
    except InputError as error:
        file, message = None, str(error)
    assert (file.fx_px > 0.0) if file else ("\n" not in message)
