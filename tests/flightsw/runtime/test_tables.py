import time
from pathlib import Path

import numpy as np
import pytest

from flightsw.astro.time import Epoch
from flightsw.errors import InputError, UsageError
from flightsw.runtime import tables
from flightsw.runtime.csv_cells import parse_time
from flightsw.runtime.tables import ObservationRow, read_attitude, read_gyro, read_observations, rows_of

OBSERVATIONS = """time_utc,landmark_id,lon_deg,lat_deg,height_m,u_px,v_px,confidence,sigma_px,region
2026-03-01T12:00:05.25Z,17R-012,-81.5,27.25,3.5,100.5,200.25,0.9,2.5,17R
2026-03-01T12:00:00Z,17R-003,-81,27,0,-50,9000,1,,
2026-03-01T13:00:05.25+01:00,17R-001,278.75,27,-20,10,20,0.5,1.5,17R
"""
ATTITUDE = """time_utc,qw,qx,qy,qz,sigma_deg
2026-03-01T12:00:00Z,1,0,0,0,0.01
2026-03-01T12:00:10Z,0.7071,0,0,0.7071,
"""
GYRO = """time_utc,wx_rad_s,wy_rad_s,wz_rad_s
2026-03-01T12:00:00Z,0,-0.0011,0
2026-03-01T12:00:01Z,1e-4,-1.1e-3,.5
"""


def put(tmp_path: Path, text: str | bytes, name: str = "table.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.verifies("RUN-004")
def test_observations_are_read_in_any_order(tmp_path: Path) -> None:
    o = read_observations(put(tmp_path, OBSERVATIONS))
    assert o.epoch == Epoch.from_utc("2026-03-01T12:00:00Z")
    assert o.t_s.tolist() == [0.0, 5.25, 5.25]
    assert o.landmark_id.tolist() == ["17R-003", "17R-001", "17R-012"]
    assert o.frame_index.tolist() == [0, 1, 1]  # one instant written in two zones
    assert o.uv_px[0].tolist() == [-50.0, 9000.0]  # outside the image is legal here
    assert np.isnan(o.sigma_px[0])
    assert o.sigma_px[1:].tolist() == [1.5, 2.5]
    assert o.region.tolist() == ["", "17R", "17R"]


@pytest.mark.verifies("RUN-004")
def test_columns_may_come_in_any_order_and_optional_ones_may_be_absent(tmp_path: Path) -> None:
    rows = [line.split(",") for line in OBSERVATIONS.splitlines()]
    mixed = "\r\n".join(",".join(row[i] for i in (7, 3, 5, 0, 2, 1, 4, 6)) for row in rows)
    o = read_observations(put(tmp_path, "\ufeff" + mixed + "\r\n\r\n"))
    full = read_observations(put(tmp_path, OBSERVATIONS))
    np.testing.assert_array_equal(o.p_ecef, full.p_ecef)
    np.testing.assert_array_equal(o.uv_px, full.uv_px)
    assert np.isnan(o.sigma_px).all()


@pytest.mark.verifies("RUN-004")
def test_a_landmark_repeated_in_a_frame_is_legal(tmp_path: Path) -> None:
    twice = OBSERVATIONS + OBSERVATIONS.splitlines()[1] + "\n"
    assert len(read_observations(put(tmp_path, twice))) == 4


@pytest.mark.verifies("RUN-004")
def test_a_header_alone_is_a_file_without_sightings(tmp_path: Path) -> None:
    o = read_observations(put(tmp_path, OBSERVATIONS.splitlines()[0]))
    assert len(o) == 0
    assert o.uv_px.shape == (0, 2)


FIRST = "line 2, "


@pytest.mark.verifies("RUN-001")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("height_m,", "", "column height_m: is missing; add it; an observations file needs time_utc"),
        ("height_m", "height", "column 'height': is an unknown column; remove it"),
        ("sigma_px,region", "region,region", "column region: is there twice; keep one of them"),
        ("27.25", "nan", FIRST + "lat_deg: 'nan' is not finite"),
        ("27.25", "-Infinity", FIRST + "lat_deg: '-Infinity' is not finite"),
        ("27.25", "1e999", FIRST + "lat_deg: '1e999' is too large a number"),
        ("27.25", "north", FIRST + "lat_deg: 'north' is not a number; write plain decimals"),
        ("27.25", "2_7", FIRST + "lat_deg: '2_7' is not a number"),
        ("27.25", "٢٧", FIRST + "lat_deg: '٢٧' is not a number"),
        ("27.25", "", FIRST + "lat_deg: is empty"),
        ("27.25", "91", FIRST + "lat_deg: '91' is outside -90..90; give geodetic degrees, north positive"),
        ("-81.5", "-181", FIRST + "lon_deg: '-181' is outside -180..360"),
        ("3.5", "1e6", FIRST + "height_m: '1e6' is outside -1000..10000"),
        (",0.9,", ",1.5,", FIRST + "confidence: '1.5' is outside 0..1"),
        (",2.5,17R", ",0,17R", FIRST + "sigma_px: '0' is outside 0.001..10000"),
        ("100.5", "1e300", FIRST + "u_px: '1e300' is outside -1e+06..1e+06"),
        ("05.25Z,17R-012", "05.25,17R-012", FIRST + "time_utc: '2026-03-01T12:00:05.25' has no zone"),
        (
            "05.25Z,17R-012",
            "60.5Z,17R-012",
            FIRST + "time_utc: '2026-03-01T12:00:60.5Z' names a leap second that",
        ),
        (
            "2026-03-01T12:00:05.25Z,",
            "2026-02-30T12:00:05Z,",
            FIRST + "time_utc: '2026-02-30T12:00:05Z' is no date",
        ),
        ("2026-03-01T12:00:05.25Z,", "yesterday,", FIRST + "time_utc: 'yesterday' is not an ISO 8601 time"),
        (
            "2026-03-01T12:00:05.25Z,",
            "9999-01-01T00:00:00Z,",
            FIRST + "time_utc: '9999-01-01T00:00:00Z' is after",
        ),
        ("2026-03-01T12:00:05.25Z,", ",", FIRST + "time_utc: '' is not an ISO 8601 time"),
        (
            "2026-03-01T12:00:05.25Z,",
            "2016-03-01T12:00:05Z,",
            FIRST + "time_utc: '2016-03-01T12:00:05.000000000Z' ma",
        ),
        ("17R-012", "", FIRST + "landmark_id: is empty; give the landmark's name"),
        ("17R-012", "x" * 65, FIRST + f"landmark_id: '{'x' * 40}...' is longer than 64 characters"),
        ("17R-012", "a\x07b", FIRST + "landmark_id: 'a\\x07b' has characters that cannot be printed"),
        ("17R-012", '"a\nb"', "line 3, landmark_id: 'a\\nb' has characters that cannot be printed"),
        ("17R-012", '"17R', "line 4: is not CSV: unexpected end of data"),
        (
            ",0.5,1.5,17R\n",
            ",0.",
            "line 4: has 8 fields where the header has 10; give every field; the file may be c",
        ),
        (OBSERVATIONS, "\n\n", "has no header line; an observations file starts with time_utc"),
        (OBSERVATIONS, "", "is empty (0 bytes)"),
        (OBSERVATIONS, "a" * 100_000, "line 1: has 100,000 characters, at most 4,096 are read"),
    ],
)
def test_a_wrong_observation_is_named_by_line_column_and_fix(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in OBSERVATIONS
    path = put(tmp_path, OBSERVATIONS.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read_observations(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.verifies("RUN-001")
def test_bytes_that_are_not_utf_8_are_named_by_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: is not UTF-8: byte 0xfc; save it as UTF-8"):
        read_observations(put(tmp_path, OBSERVATIONS.replace("17R-012", "Zürich").encode("latin-1")))


@pytest.mark.verifies("RUN-002")
@pytest.mark.parametrize("read", [read_observations, read_attitude, read_gyro])
def test_a_table_of_a_gigabyte_is_refused_at_once(tmp_path: Path, read) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(1_000_000_000)
    begin = time.process_time()
    with pytest.raises(InputError, match=r"is too large: 1000\.0 MB or more, at most 64 MB are read"):
        read(path)
    assert time.process_time() - begin < 1.0  # s


@pytest.mark.verifies("RUN-002")
def test_a_line_without_an_end_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, OBSERVATIONS.encode() + b"1" * 20_000_000)
    with pytest.raises(InputError, match="line 5: has 20,000,000 characters"):
        read_observations(path)


@pytest.mark.verifies("RUN-004")
def test_a_legal_leap_second_is_an_instant_of_its_own(tmp_path: Path) -> None:
    times = ("2016-12-31T23:59:59.5Z", "2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.5Z")
    lines = [OBSERVATIONS.splitlines()[0], *(f"{t},a,0,0,0,1,1,1,," for t in times)]
    assert read_observations(put(tmp_path, "\n".join(lines))).t_s.tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:59.999999999Z",
        "2016-12-31T23:59:60.25Z",
        "2026-03-01T12:00:05+00:30",
        " 1999-01-01T00:00:00Z",
    ],
)
def test_the_fast_way_to_read_a_time_agrees_with_the_slow_one(tmp_path: Path, text: str) -> None:
    lines = [OBSERVATIONS.splitlines()[0], f"{text},a,0,0,0,1,1,1,,"]
    assert read_observations(put(tmp_path, "\n".join(lines))).epoch == parse_time(text)


@pytest.mark.verifies("RUN-004")
def test_a_hundred_thousand_rows_take_under_two_seconds_and_come_back_unchanged(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    n = 100_000
    epoch = Epoch.from_utc("2026-03-01T00:00:00Z")
    lines = ["time_utc,landmark_id,lon_deg,lat_deg,height_m,u_px,v_px,confidence"]
    lon, lat, u = rng.uniform(-180, 180, n), rng.uniform(-90, 90, n), rng.uniform(0, 4608, n)
    lines += [
        f"{(epoch + 0.2 * i).utc_iso()},17R-{i % 100:03d},{lon[i]:.9f},{lat[i]:.9f},12.5,{u[i]:.4f},1.5,0.9"
        for i in range(n)
    ]
    path = put(tmp_path, "\n".join(lines))
    begin = time.process_time()
    o = read_observations(path)
    assert time.process_time() - begin < 2.0  # s; 0.6 s measured, every time distinct
    assert len(o.frame_t_s) == n
    part = o.subset(np.arange(2000))
    tables.write_observations(tmp_path / "again.csv", rows_of(part))
    again = read_observations(tmp_path / "again.csv")
    for name in ("t_s", "lon_deg", "lat_deg", "uv_px", "confidence", "landmark_id", "region"):
        np.testing.assert_array_equal(getattr(again, name), getattr(part, name))


@pytest.mark.verifies("RUN-003")
def test_no_observations_are_written_as_a_header_alone(tmp_path: Path) -> None:
    tables.write_observations(tmp_path / "new" / "observations.csv", [])
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["observations.csv"]
    assert len(read_observations(tmp_path / "new" / "observations.csv")) == 0


def test_awkward_names_survive_writing_and_reading(tmp_path: Path) -> None:
    row = ObservationRow(
        Epoch.from_utc("2026-03-01T00:00:00Z"), 'a,"b" ü', 1.0, 2.0, 3.0, 4.0, 5.0, 0.5, 1.25, "x,y"
    )
    tables.write_observations(tmp_path / "o.csv", [row])
    assert rows_of(read_observations(tmp_path / "o.csv")) == [row]


@pytest.mark.verifies("RUN-003")
def test_observations_cannot_be_written_below_a_file(tmp_path: Path) -> None:
    put(tmp_path, "x", "file")
    with pytest.raises(UsageError, match="cannot be written"):
        tables.write_observations(tmp_path / "file" / "observations.csv", [])


@pytest.mark.verifies("RUN-005")
def test_attitude_and_gyro_are_read(tmp_path: Path) -> None:
    attitude = read_attitude(put(tmp_path, ATTITUDE))
    np.testing.assert_allclose(np.linalg.norm(attitude.q, axis=1), 1.0, atol=1e-15)
    assert attitude.sigma_rad[0] == np.radians(0.01)
    assert np.isnan(attitude.sigma_rad[1])
    gyro = read_gyro(put(tmp_path, GYRO))
    assert gyro.t_s.tolist() == [0.0, 1.0]
    assert gyro.rate_body[1].tolist() == [1e-4, -1.1e-3, 0.5]


@pytest.mark.verifies("RUN-001")
@pytest.mark.parametrize(
    ("read", "text", "old", "new", "message"),
    [
        (
            read_attitude,
            ATTITUDE,
            "0.7071,0",
            "0.8,0",
            "line 3, qw, qx, qy, qz: the quaternion's norm is 1.06",
        ),
        (
            read_attitude,
            ATTITUDE,
            ",1,0,0,0,",
            ",0,0,0,0,",
            "line 2, qw, qx, qy, qz: the quaternion's norm is 0, not",
        ),
        (
            read_attitude,
            ATTITUDE,
            ",1,0,0,0,",
            ",2,0,0,0,",
            "line 2, qw: '2' is outside -1.01..1.01; give a unit quat",
        ),
        (
            read_attitude,
            ATTITUDE,
            "12:00:10",
            "11:59:59",
            "line 3, time_utc: 2026-03-01T11:59:59.000000000Z is earlier",
        ),
        (
            read_attitude,
            ATTITUDE,
            "12:00:10",
            "12:00:00",
            "line 3, time_utc: 2026-03-01T12:00:00.000000000Z is there t",
        ),
        (read_attitude, ATTITUDE, "0.01", "-0.01", "line 2, sigma_deg: '-0.01' is outside 0..180"),
        (read_attitude, ATTITUDE, "qw", "q0", "column 'q0': is an unknown column"),
        (
            read_gyro,
            GYRO,
            "12:00:01",
            "12:00:00",
            "line 3, time_utc: 2026-03-01T12:00:00.000000000Z is there twice",
        ),
        (
            read_gyro,
            GYRO,
            "12:00:01",
            "11:00:01",
            "line 3, time_utc: 2026-03-01T11:00:01.000000000Z is earlier than",
        ),
        (
            read_gyro,
            GYRO,
            ".5",
            "500",
            "line 3, wz_rad_s: '500' is outside -100..100; give rad/s in the body frame",
        ),
        (read_gyro, GYRO, ".5", "inf", "line 3, wz_rad_s: 'inf' is not finite"),
    ],
)
def test_a_wrong_attitude_or_rate_is_named(
    tmp_path: Path, read, text: str, old: str, new: str, message: str
) -> None:
    assert old in text
    with pytest.raises(InputError) as caught:
        read(put(tmp_path, text.replace(old, new)))
    assert message in str(caught.value)


@pytest.mark.parametrize(("read", "text"), [(read_attitude, ATTITUDE), (read_gyro, GYRO)])
def test_a_series_without_rows_is_refused(tmp_path: Path, read, text: str) -> None:
    with pytest.raises(InputError, match="has no rows; add rows, or leave --"):
        read(put(tmp_path, text.splitlines()[0]))
