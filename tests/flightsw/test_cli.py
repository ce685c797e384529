import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flightsw.astro.time import Epoch
from flightsw.camera.quaternion import quaternion_from_rotation
from flightsw.cli import main
from flightsw.runtime.known_case import known_case
from flightsw.runtime.solution_file import read_solution

PRODUCTS = ["ephemeris.csv", "orbit.oem", "solution.json"]


def od(files, out: Path, *more: str) -> int:
    return main(["od", "--observations", str(files[0]), "--camera", str(files[1]), "--out", str(out), *more])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def error_at_frames(case, folder: Path) -> float:
    """Return the largest error in m of a written orbit at the case's frames."""
    solution = read_solution(folder / "solution.json")
    state, _ = solution.predict(case.observations.frame_t_s - (solution.epoch - case.observations.epoch))
    return float(np.linalg.norm(state[:, :3] - case.state[:, :3], axis=1).max())


@pytest.fixture(scope="module")
def files(case_files) -> tuple[Path, Path]:
    return case_files.observations, case_files.camera


@pytest.mark.verifies("RUN-008")
@pytest.mark.verifies("RUN-009")
def test_od_recovers_the_orbit_and_writes_three_files(files, case_files, tmp_path: Path, capsys) -> None:
    until = case_files.case.observations.epoch + 9000.0
    assert od(files, tmp_path / "out", "--until", until.utc_iso()) == 0
    assert names(tmp_path / "out") == PRODUCTS
    assert error_at_frames(case_files.case, tmp_path / "out") < 500.0  # m; 110 m measured
    captured = capsys.readouterr()
    assert captured.out.startswith("DETERMINED: the orbit is determined")
    assert captured.err == ""
    last = (tmp_path / "out" / "ephemeris.csv").read_text().splitlines()[-1]
    assert Epoch.from_utc(last.split(",")[0]) == until


@pytest.mark.verifies("RUN-011")
def test_od_in_any_order_of_rows_gives_the_same_bytes(files, tmp_path: Path, capsys, rng) -> None:
    lines = files[0].read_text().splitlines()
    shuffled = tmp_path / "shuffled.csv"
    shuffled.write_text("\n".join([lines[0], *rng.permutation(lines[1:])]))
    assert od(files, tmp_path / "one", "--json") == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "one" / "solution.json").read_text()
    assert json.loads(printed)["status"] == "DETERMINED"
    assert od((shuffled, files[1]), tmp_path / "two") == 0
    for name in PRODUCTS:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.verifies("RUN-005")
def test_od_with_attitude_and_gyro_uses_the_one_and_says_that_it_ignores_the_other(
    files, case_files, tmp_path: Path, capsys
) -> None:
    case = case_files.case
    q = quaternion_from_rotation(case.cam_from_eci)
    times = [(case.observations.epoch + float(t)).utc_iso() for t in case.observations.frame_t_s]
    attitude = [f"{time},{','.join(f'{x:.9f}' for x in row)}" for time, row in zip(times, q, strict=True)]
    (tmp_path / "att.csv").write_text("\n".join(["time_utc,qw,qx,qy,qz", *attitude]))
    (tmp_path / "gyro.csv").write_text(f"time_utc,wx_rad_s,wy_rad_s,wz_rad_s\n{times[0]},0,-0.0011,0\n")
    more = ("--attitude", str(tmp_path / "att.csv"), "--gyro", str(tmp_path / "gyro.csv"), "--json")
    assert od(files, tmp_path / "out", *more) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["attitude"]["mode"] == "given"
    assert data["inputs"]["attitude_rows"] == 12
    assert "the gyro is not used" in data["notes"][0]
    assert error_at_frames(case, tmp_path / "out") < 200.0  # m


@pytest.mark.verifies("RUN-010")
def test_a_prior_carries_one_pass(write_case, case_files, files, tmp_path: Path, capsys) -> None:
    assert od(files, tmp_path / "first") == 0
    one_pass = known_case(passes_s=(11_500.0,), seed=8)
    later = write_case(one_pass)
    assert od(later, tmp_path / "alone") == 4
    assert od(later, tmp_path / "both", "--prior", str(tmp_path / "first" / "solution.json")) == 0
    capsys.readouterr()
    assert error_at_frames(one_pass, tmp_path / "both") < 500.0  # m


@pytest.mark.verifies("RUN-010")
def test_a_prior_of_another_orbit_is_left_out_with_a_note(files, case_files, tmp_path: Path, capsys) -> None:
    assert od(files, tmp_path / "first", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    data["v_gcrf_m_s"] = [-x for x in data["v_gcrf_m_s"]]  # the same orbit, flown backwards
    (tmp_path / "prior.json").write_text(json.dumps(data))
    assert od(files, tmp_path / "second", "--json", "--prior", str(tmp_path / "prior.json")) == 0
    assert "prior contradicts" in json.loads(capsys.readouterr().out)["notes"][0]
    assert error_at_frames(case_files.case, tmp_path / "second") < 500.0  # m


def test_the_estimate_is_told_what_is_known_of_the_satellite(files, tmp_path: Path, capsys) -> None:
    told = tmp_path / "estimator.toml"
    told.write_text("slow_pointing_sigma_deg = 0.2\nfocal_sigma = 1e-3\nclock_drift_sigma = 1e-6\n")
    assert od(files, tmp_path / "plain", "--json") == 0
    plain = json.loads(capsys.readouterr().out)
    assert od(files, tmp_path / "told", "--json", "--estimator", str(told)) == 0
    data = json.loads(capsys.readouterr().out)
    sigma = [data["covariance_of_parameters"][k][k] ** 0.5 for k in (10, 11)]
    assert 0.0 < sigma[0] <= 1.001e-3
    assert 0.0 < sigma[1] <= 1.001e-6
    assert abs(data["focal_error"]) < 4.0 * sigma[0]
    assert plain["covariance_of_parameters"][10][10] == 0.0
    assert data["position_sigma_m"] > plain["position_sigma_m"]  # more is unknown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slow_sigma = 1.0", "slow_sigma: is not a key"),
        ("focal_sigma = -1.0", "focal_sigma: must lie in 0..0.1"),
        ("drag_sigma = 0.0", "drag_sigma: must be positive"),
        ("pointing_sigma_deg = true", "pointing_sigma_deg"),
    ],
)
def test_a_wrong_estimator_file_is_named_by_its_key(files, tmp_path: Path, capsys, text, message) -> None:
    told = tmp_path / "estimator.toml"
    told.write_text(text)
    assert od(files, tmp_path / "out", "--estimator", str(told)) == 3
    error = capsys.readouterr().err
    assert "estimator.toml" in error
    assert message.split(":")[0] in error
    assert not (tmp_path / "out").exists()


@pytest.mark.verifies("RUN-009")
def test_one_pass_is_not_determined_and_leaves_what_it_has(write_case, tmp_path: Path, capsys) -> None:
    assert od(write_case(known_case(passes_s=(0.0,))), tmp_path / "out") == 4
    assert capsys.readouterr().out.startswith("ONE_PASS: one pass only")
    assert "solution.json" in names(tmp_path / "out")


@pytest.mark.verifies("RUN-009")
def test_no_landmarks_is_not_determined_and_writes_solution_json_alone(files, tmp_path: Path, capsys) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text(files[0].read_text().splitlines()[0] + "\n")
    assert od((empty, files[1]), tmp_path / "out", "--json") == 4
    data = json.loads(capsys.readouterr().out)
    assert (data["status"], data["r_gcrf_m"]) == ("NO_LANDMARKS", None)
    assert names(tmp_path / "out") == ["solution.json"]


@pytest.mark.verifies("RUN-001")
@pytest.mark.verifies("RUN-009")
def test_a_malformed_file_ends_in_one_line_and_writes_nothing(files, tmp_path: Path, capsys) -> None:
    bad = tmp_path / "bad\nname.csv"
    bad.write_text(files[0].read_text().replace("confidence", "trust", 1))
    assert od((bad, files[1]), tmp_path / "out") == 3
    assert "column 'trust': is an unknown column; remove it" in one_line(capsys)
    assert od((files[0], tmp_path / "no.toml"), tmp_path / "out") == 3
    assert "no.toml: does not exist; check the path" in one_line(capsys)
    assert od(files, tmp_path / "out", "--attitude", str(files[0])) == 3
    assert "is an unknown column; remove it; the columns of an attitude file are time_utc, qw" in one_line(
        capsys
    )
    assert od(files, tmp_path / "out", "--prior", str(files[1])) == 3
    assert "is not JSON" in one_line(capsys)
    assert names(tmp_path / "out") == []


@pytest.mark.verifies("RUN-001")
@pytest.mark.verifies("RUN-009")
@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--until", "tomorrow"), "--until: 'tomorrow' is not an ISO 8601 time with a zone"),
        (("--until", "2026-03-02T00:00:00"), "has no zone; end it with Z"),
        (("--until", "2026-02-01T00:00:00Z"), "is before the data, which begin at 2026-03-01T12:00:00Z"),
        (("--until", "2027-02-01T00:00:00Z"), "is more than 31 days after the data"),
        (("--speed", "3"), "unrecognized arguments: --speed 3; see flightsw"),
        (("--ou", "x"), "unrecognized arguments: --ou x"),
    ],
)
def test_a_wrong_option_is_a_usage_error(files, tmp_path: Path, capsys, more, words: str) -> None:
    assert od(files, tmp_path / "out", *more) == 2
    assert words in one_line(capsys)
    assert "solution.json" not in names(tmp_path / "out")


@pytest.mark.verifies("RUN-003")
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/out", "nul\0l"])
def test_an_unwritable_output_folder_is_found_before_the_work(
    files, tmp_path: Path, capsys, place: str
) -> None:
    (tmp_path / "file").write_text("")
    assert od(files, tmp_path / place) == 2
    assert "cannot be written" in one_line(capsys)


def test_a_reader_that_leaves_early_is_no_error(files, tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text(files[0].read_text().splitlines()[0] + "\n")
    entry = "import sys; from flightsw.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", entry, "od", "--observations", str(empty), "--camera", str(files[1])]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 4


@pytest.mark.verifies("RUN-009")
@pytest.mark.parametrize("arguments", [[], ["fly"], ["od"], ["run", "--frames", "x"], ["verify"]])
def test_an_incomplete_command_line_is_one_line_and_exit_2(capsys, arguments: list[str]) -> None:
    assert main(arguments) == 2
    assert "--help" in one_line(capsys)


def test_help_has_examples_and_exit_codes(capsys) -> None:
    for command in ("run", "od", "verify", "selftest"):
        assert main([command, "--help"]) == 0
        text = capsys.readouterr().out
        assert f"flightsw {command}" in text
        assert "exit codes: 0 determined" in text


@pytest.mark.verifies("RUN-014")
def test_the_selftest_passes(capsys) -> None:
    assert main(["selftest", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert set(results) == {"time", "earth rotation", "propagation", "estimate"}
    assert all(result["passed"] for result in results.values())


def test_verify_names_what_is_missing(tmp_path: Path, capsys) -> None:
    assert main(["verify", "--models", str(tmp_path)]) == 3
    assert "manifest.toml" in one_line(capsys)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom flightsw.cli import main\nmain(['--help'])\n"
        "sys.exit(len({'numpy', 'scipy', 'onnxruntime'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
