import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flightsw.errors import InputError
from flightsw.estimate.solution import Solution, Status
from flightsw.runtime.products import write_solution
from flightsw.runtime.solution_file import read_solution, solution_json

FULL = "covariance_of_parameters"


@pytest.fixture(scope="module")
def text(case_files) -> str:
    return solution_json(case_files.solution, inputs={"observations": 3})


def nothing(solution: Solution) -> Solution:
    return Solution(
        status=Status.NO_LANDMARKS,
        epoch=solution.epoch,
        used=np.zeros(0, dtype=bool),
        attitude_mode="nadir",
        forces=solution.forces,
    )


@pytest.mark.verifies("RUN-008")
def test_solution_json_has_the_promised_fields(case_files, text: str) -> None:
    s, data = case_files.solution, json.loads(text)
    assert data["status"] == "DETERMINED"
    assert data["reason"] == Status.DETERMINED.value
    assert data["epoch_utc"].endswith("Z")
    assert data["first_used_utc"] <= data["epoch_utc"] <= data["last_used_utc"]
    assert data["r_gcrf_m"] == s.r_eci.tolist()
    assert data["v_gcrf_m_s"] == s.v_eci.tolist()
    np.testing.assert_array_equal(data["covariance"], s.covariance)
    assert data["position_sigma_m"] == pytest.approx(np.sqrt(np.trace(s.covariance[:3, :3])))
    assert data["drag_scale"] == s.drag_scale
    assert data["attitude"]["mode"] == "nadir"
    assert len(data["attitude"]["pointing_offset_rad"]) == 3
    assert data["observations_used"] + data["observations_rejected"] == len(case_files.case.observations)
    assert [p["used"] for p in data["passes"]] == [p.used for p in s.passes]
    assert data["solver"]["iterations"] == s.solver.iterations
    assert "timing" not in text
    assert "wall" not in text


@pytest.mark.verifies("RUN-010")
def test_a_solution_comes_back_from_its_file(case_files, text: str, tmp_path: Path) -> None:
    path = tmp_path / "solution.json"
    path.write_text(text)
    s, back = case_files.solution, read_solution(path)
    assert (back.status, back.epoch, back.attitude_mode) == (s.status, s.epoch, s.attitude_mode)
    np.testing.assert_array_equal(back.r_eci, s.r_eci)
    np.testing.assert_array_equal(back.v_eci, s.v_eci)
    np.testing.assert_array_equal(back.covariance_full, s.covariance_full)
    np.testing.assert_array_equal(back.pointing_offset_rad, s.pointing_offset_rad)
    assert back.drag_scale == s.drag_scale
    assert back.last_used_s == pytest.approx(s.last_used_s, abs=1e-9)


@pytest.mark.verifies("RUN-010")
def test_a_prior_needs_no_more_than_epoch_state_and_covariance(text: str, tmp_path: Path) -> None:
    data = json.loads(text)
    keys = ("epoch_utc", "r_gcrf_m", "v_gcrf_m_s", "covariance")
    path = tmp_path / "solution.json"
    path.write_text(json.dumps({key: data[key] for key in keys}))
    back = read_solution(path)
    np.testing.assert_array_equal(back.covariance, data["covariance"])
    assert np.all(np.diag(back.covariance_full)[6:10] > 0.0)  # what is not said is not known exactly


@pytest.mark.verifies("RUN-001")
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("r_gcrf_m", None, "r_gcrf_m: is missing or null; give a solution.json that `flightsw od` wrote"),
        ("r_gcrf_m", [1.0, 2.0], "r_gcrf_m: must be 3 numbers"),
        ("r_gcrf_m", [1.0, 2.0, 3.0], "r_gcrf_m: is 3.74166 m long; give metres"),
        ("r_gcrf_m", [7000.0, 0.0, 0.0], "r_gcrf_m: is 7000 m long"),
        ("r_gcrf_m", ["7e6", 0.0, 0.0], "r_gcrf_m: must be 3 numbers"),
        ("r_gcrf_m", [True, 0.0, 0.0], "r_gcrf_m: must be 3 numbers"),
        ("r_gcrf_m", [float("nan"), 0.0, 0.0], "r_gcrf_m: must be finite"),
        ("v_gcrf_m_s", [7.5e6, 0.0, 0.0], "v_gcrf_m_s: is 7.5e+06 m/s long"),
        ("v_gcrf_m_s", [7.5, 0.0, 0.0], "v_gcrf_m_s: is 7.5 m/s long; give m/s"),
        ("v_gcrf_m_s", [0.0, 0.0, 7e3], "v_gcrf_m_s: with r_gcrf_m is no low orbit: its ends are"),
        ("epoch_utc", "2026-03-01T12:00:00", "epoch_utc: '2026-03-01T12:00:00' has no zone"),
        ("epoch_utc", 3, "epoch_utc: '' is not an ISO 8601 time"),
        ("status", "FINE", "status: 'FINE' is not a status"),
        (FULL, [[1.0]], f"{FULL}: must be 13 x 13 numbers"),
        (FULL, (-np.eye(13)).tolist(), f"{FULL}: has a variance that is not positive"),
        (FULL, np.zeros((13, 13)).tolist(), f"{FULL}: has a variance that is not positive"),
        (FULL, np.triu(np.ones((13, 13))).tolist(), f"{FULL}: is not symmetric"),
        (FULL, (3.0 * np.eye(13) - 2.0).tolist(), f"{FULL}: is not a covariance"),
    ],
)  # fmt: skip
def test_a_wrong_prior_is_named_by_key(text: str, tmp_path: Path, key: str, value, message: str) -> None:
    data = json.loads(text)
    data[key] = value
    path = tmp_path / "prior.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError) as caught:
        read_solution(path)
    assert f"prior.json: {message}" in str(caught.value)


@pytest.mark.verifies("RUN-001")
@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000, "3", '{"r_gcrf_m": 1e999}'])
def test_what_is_no_solution_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "prior.json"
    path.write_text(content)
    with pytest.raises(InputError, match="prior"):
        read_solution(path)


@pytest.mark.verifies("RUN-013")
@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    derandomize=True,
)
@given(data=st.data())
def test_a_mutated_prior_gives_a_solution_or_an_input_error(
    tmp_path: Path, text: str, data: st.DataObject
) -> None:
    content = text
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(start + 12, len(content))))
        piece = st.one_of(
            st.text(max_size=5), st.sampled_from(["NaN", "1e999", "null", "[]", "-", "9" * 30, '"'])
        )
        content = content[:start] + data.draw(piece) + content[stop:]
    path = tmp_path / "prior.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    message = ""
    try:
        assert read_solution(path).has_state
    except InputError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.verifies("RUN-003")
@pytest.mark.verifies("RUN-008")
def test_without_a_state_solution_json_stands_alone_and_old_products_go(case_files, tmp_path: Path) -> None:
    write_solution(tmp_path, case_files.solution)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["ephemeris.csv", "orbit.oem", "solution.json"]
    write_solution(tmp_path, nothing(case_files.solution))
    assert [path.name for path in tmp_path.iterdir()] == ["solution.json"]
    data = json.loads((tmp_path / "solution.json").read_text())
    assert data["status"] == "NO_LANDMARKS"
    assert data["r_gcrf_m"] is data["v_gcrf_m_s"] is data["covariance"] is data["position_sigma_m"] is None
    assert data["first_used_utc"] is None
    with pytest.raises(InputError, match="r_gcrf_m: is missing or null"):
        read_solution(tmp_path / "solution.json")


@pytest.mark.verifies("RUN-011")
def test_equal_solutions_give_equal_bytes(case_files, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_solution(tmp_path / name, case_files.solution)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
