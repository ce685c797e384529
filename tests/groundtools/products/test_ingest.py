"""Telemetry in, products out: lost, repeated, damaged and overlapping packets change nothing but the gaps."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from flightsw.errors import EXIT_INPUT, EXIT_NOT_DETERMINED, EXIT_OK, InputError
from flightsw.estimate.batch import estimate_orbit
from flightsw.runtime.known_case import known_case
from flightsw.runtime.link.downlink import Downlink
from flightsw.runtime.link.framing import encode_frame
from flightsw.runtime.link.telemetry import Telemetry
from flightsw.runtime.products import write_solution
from flightsw.runtime.tables import rows_of, write_observations
from groundtools import cli
from groundtools.link.captures import files_of, read_captures
from groundtools.products import formats
from groundtools.products.ephemeris import Body
from groundtools.products.fit_tle import elements_of
from groundtools.products.ingest import EXIT_PARTIAL
from groundtools.products.omm import write_json

NS = 10**9
MUTATIONS = 1000
FILE = "products/solution.json"


class Pass:
    """A payload's telemetry over one pass: packets of every kind, and its products in chunks."""

    def __init__(self, products: Path, solution, tai_ns: int) -> None:
        self.telemetry, self.downlink = Telemetry(), Downlink({"products": products})
        self.solution, self.now = solution, tai_ns

    def housekeeping(self, seconds: int) -> list[bytes]:
        """Return HOUSEKEEPING every 10 s."""
        from flightsw.runtime.link import dictionary as dic

        zero = {field.name: 0 for field in dic.telemetry("HOUSEKEEPING").field}
        for _ in range(0, seconds, 10):
            self.now += 10 * NS
            self.telemetry.put("HOUSEKEEPING", self.now, {**zero, "solution_status": 1})
        return self.sent()

    def estimate(self) -> list[bytes]:
        """Return the SOLUTION packet."""
        self.now += NS
        s = self.solution
        state = dict(zip(("x_m", "y_m", "z_m", "vx_m_s", "vy_m_s", "vz_m_s"), [*s.r_eci, *s.v_eci]))
        rest = {"observations_used": 1, "observations_rejected": 0, "position_sigma_m": s.position_sigma}
        head = {"status": 1, "arc": 1, "epoch_tai_ns": s.epoch.tai_ns}
        self.telemetry.put("SOLUTION", self.now, {**head, **state, **rest})
        return self.sent()

    def listing(self) -> list[bytes]:
        """Return the FILE packets."""
        self.now += NS
        self.downlink.list(self.telemetry, self.now, 0)
        return self.sent()

    def file(self, name: str, first: int = 0, chunks: int = 10_000) -> list[bytes]:
        """Return the chunks asked for."""
        assert self.downlink.request(name, first, chunks) == ""
        out = []
        while self.downlink.is_busy:
            self.now += NS
            self.downlink.fill(self.telemetry, self.now)
            out += self.sent()
        return out

    def sent(self) -> list[bytes]:
        out = []
        while (packet := self.telemetry.take()) is not None:
            out.append(packet)
        return out


@pytest.fixture(scope="module")
def solved():
    case = known_case(landmarks=30)
    return case, estimate_orbit(case.observations, case.camera)


@pytest.fixture
def payload(solved, tmp_path) -> Pass:
    case, solution = solved
    products = tmp_path / "payload"
    write_solution(products, solution)
    write_observations(products / "observations.csv", rows_of(case.observations))
    return Pass(products, solution, solution.epoch.tai_ns + 7200 * NS)


def framed(packets: list[bytes]) -> bytes:
    return b"".join(encode_frame(packet) for packet in packets)


def whole_pass(payload: Pass) -> list[bytes]:
    packets = payload.housekeeping(600) + payload.estimate() + payload.listing()
    return packets + payload.file(FILE) + payload.file("products/observations.csv")


def ingest(tmp_path: Path, name: str, *captures: Path, more: tuple[str, ...] = ()) -> tuple[int, dict, Path]:
    out = tmp_path / name
    code = cli.main(["ground", "ingest", *map(str, captures), "--out", str(out), *more])
    return code, json.loads((out / "ingest.json").read_text()), out


def products_in(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name != "ingest.json"}


@pytest.mark.verifies("PRD-014")
def test_lost_repeated_and_damaged_packets_give_the_same_products_and_named_gaps(
    payload, tmp_path, rng, capsys
):
    packets = whole_pass(payload)
    perfect = tmp_path / "whole.bin"
    perfect.write_bytes(framed(packets))
    code, said, folder = ingest(tmp_path, "whole", perfect)
    assert (code, said["gaps"], said["is_whole"]) == (EXIT_OK, [], True)
    assert len(products_in(folder)) == 14

    captures, lost = [], {}
    for station in range(2):  # two stations hear the same pass, each with its own losses
        heard = []
        for packet in packets:
            fate = rng.random()
            if fate < 0.3:
                continue
            heard += [packet] * (2 if fate > 0.8 else 1)
            if fate > 0.95:
                damaged = bytearray(packet)
                damaged[int(rng.integers(len(packet)))] ^= 0x55
                heard.append(bytes(damaged))
        capture = tmp_path / f"station{station}.bin"
        capture.write_bytes(rng.bytes(50) + framed(heard))
        captures.append(capture)
    seen = read_captures(captures).packets
    for _ in range(20):  # what is missing is asked for again, over the same bad link
        missing = {one.name: one.missing for one in files_of(read_captures(captures).packets) if one.missing}
        if not missing:
            break
        again = [p for name, chunks in missing.items() for c in chunks
                 for p in payload.file(f"products/{name}", c, 1)]  # fmt: skip
        capture = tmp_path / f"again{len(captures)}.bin"
        capture.write_bytes(framed([p for p in again if rng.random() > 0.3] or again[:1]))
        captures.append(capture)
    order = [captures[k] for k in rng.permutation(len(captures))]
    code, said, patched = ingest(tmp_path, "patched", *order)
    assert code == EXIT_OK
    assert products_in(patched) == products_in(folder)
    assert said["repeated"] > 0
    assert said["broken"] > 0
    for gap in said["gaps"]:
        lost[gap["packet"]] = lost.get(gap["packet"], 0) + gap["lost"]
    sent = [p for p in packets if p[:2] == packets[0][:2]]
    heard_of_it = sorted(p.count for p in seen if p.name == "HOUSEKEEPING")
    inside = [k for k in range(len(sent)) if heard_of_it[0] < k < heard_of_it[-1]]
    assert lost["HOUSEKEEPING"] == len(set(inside) - set(heard_of_it))
    assert "lost: " in capsys.readouterr().out


@pytest.mark.verifies("PRD-014")
def test_a_solution_that_is_not_whole_is_named_with_the_command_that_brings_it(payload, tmp_path, capsys):
    packets = payload.estimate() + payload.file(FILE)
    assert len(packets) > 4
    capture = tmp_path / "c.bin"
    capture.write_bytes(framed([packets[0], packets[1], *packets[4:]]))
    code, said, folder = ingest(tmp_path, "out", capture)
    assert code == EXIT_PARTIAL
    assert said["files"][0]["missing"] == [{"first_chunk": 1, "chunks": 2}]
    assert f"DOWNLINK file={FILE} first_chunk=1 chunks=2" in capsys.readouterr().out
    assert "report.html" not in products_in(folder)
    ours = formats.load_states(folder / "orbit.oem")
    assert np.linalg.norm(ours.state[0, :3] - payload.solution.r_eci) < 1e-3  # m
    assert len(ours.covariance) == 0


def test_a_newer_estimate_than_the_file_that_came_is_said(payload, tmp_path):
    capture = tmp_path / "c.bin"
    capture.write_bytes(framed(payload.file(FILE) + payload.estimate()))
    code, said, folder = ingest(tmp_path, "out", capture)
    assert code == EXIT_PARTIAL
    assert any("newer estimate" in note for note in said["notes"])
    assert "report.html" in products_in(folder)


def test_ccsds_packets_without_frames_are_read_too(payload, tmp_path):
    packets = whole_pass(payload)
    (tmp_path / "framed.bin").write_bytes(framed(packets))
    (tmp_path / "bare.bin").write_bytes(b"junk" + b"".join(packets))
    framed_one, bare = (read_captures([tmp_path / name]) for name in ("framed.bin", "bare.bin"))
    assert bare.packets == framed_one.packets
    assert bare.broken == 4


def test_the_satellite_is_found_in_a_catalogue(payload, tmp_path):
    elements, _ = elements_of(payload.solution, hours=6.0, arc=False, body=Body("X", "2026-014C", "100042"))
    (tmp_path / "catalogue.json").write_text(write_json((elements,)))
    (tmp_path / "c.bin").write_bytes(framed(whole_pass(payload)))
    more = ("--catalogue", str(tmp_path / "catalogue.json"))
    _, _, folder = ingest(tmp_path, "out", tmp_path / "c.bin", more=more)
    assert json.loads((folder / "identification.json").read_text())["objects"][0]["catalog_id"] == "100042"


def test_a_dry_run_says_all_and_writes_nothing(payload, tmp_path, capsys):
    (tmp_path / "c.bin").write_bytes(framed(payload.file(FILE)))
    arguments = ["ground", "ingest", str(tmp_path / "c.bin"), "--out", str(tmp_path / "o")]
    assert cli.main([*arguments, "--dry-run", "--json"]) == EXIT_OK
    assert json.loads(capsys.readouterr().out)["is_whole"]
    assert not (tmp_path / "o").exists()


def test_a_count_that_turns_or_starts_anew_is_no_gap_of_thousands(payload):
    from groundtools.link.captures import gaps_of
    from groundtools.link.client import Received

    def row(*counts: int) -> tuple[Received, ...]:
        return tuple(Received("EVENT", count, k * NS, {}) for k, count in enumerate(counts))

    assert gaps_of(row(16_382, 16_383, 0, 1)) == ()
    assert [gap.lost for gap in gaps_of(row(16_380, 2))] == [5]
    assert [gap.lost for gap in gaps_of(row(500, 501, 0, 1, 4))] == [2]
    assert [gap.lost for gap in gaps_of(row(500, 3))] == [3]


def refusal(path: Path) -> str:
    """Return the message with which a capture is refused; empty if it is read, whole files checked."""
    try:
        capture = read_captures([path])
    except InputError as error:
        return str(error)
    assert all(zlib.crc32(one.content) == one.crc for one in files_of(capture.packets) if one.is_whole)
    return ""


@pytest.mark.verifies("PRD-006")
def test_wounded_telemetry_ends_in_products_or_in_a_message(payload, tmp_path, rng):
    whole = framed(payload.estimate() + payload.listing() + payload.file(FILE))
    path = tmp_path / "wounded.bin"
    refused = 0
    for _ in range(MUTATIONS):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 6))):
            at = int(rng.integers(len(data) + 1))
            end = at + int(rng.choice([1, 20, 2000, len(data)]))
            piece = rng.bytes(int(rng.integers(0, 40)))
            data[at:end] = piece + (data[at:end] if rng.random() < 0.5 else b"")
        path.write_bytes(bytes(data))
        message = refusal(path)
        refused += bool(message)
        assert not message or message.startswith(str(path))
    assert refused > 0


@pytest.mark.verifies("PRD-006")
def test_what_is_no_telemetry_is_refused_in_one_line(tmp_path, capsys):
    path = tmp_path / "x.bin"
    path.write_bytes(b"not telemetry at all")
    assert cli.main(["ground", "ingest", str(path), "--out", str(tmp_path / "o")]) == EXIT_INPUT
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_forged_names_and_sizes_write_nothing_outside(payload, tmp_path):
    telemetry = Telemetry()
    for name in ("products/../../evil", "products/", "products/..", "frames/solution.json"):
        data = b"{}"
        file = {"position": 0, "files": 1, "size_bytes": 2, "content_crc32": zlib.crc32(data), "file": name}
        telemetry.put("FILE", 0, file)
        chunk = {"file_crc32": zlib.crc32(name.encode()), "size_bytes": 2, "content_crc32": zlib.crc32(data)}
        telemetry.put("CHUNK", 0, {**chunk, "chunk": 0, "data": data})
    packets = []
    while (packet := telemetry.take()) is not None:
        packets.append(packet)
    (tmp_path / "c.bin").write_bytes(framed(packets))
    assert files_of(read_captures([tmp_path / "c.bin"]).packets) == []


def test_a_solution_without_a_state_gives_its_own_file_and_its_reason(payload, tmp_path):
    from dataclasses import replace

    from flightsw.estimate.solution import Status

    none = replace(payload.solution, status=Status.NO_ORBIT, r_eci=None, v_eci=None, covariance_full=None)
    products = tmp_path / "none"
    write_solution(products, none)
    payload.downlink = Downlink({"products": products})
    (tmp_path / "c.bin").write_bytes(framed(payload.file(FILE)))
    code, said, folder = ingest(tmp_path, "out", tmp_path / "c.bin")
    assert code == EXIT_NOT_DETERMINED
    assert said["status"] == "NO_ORBIT"
    assert set(products_in(folder)) == {"solution.json"}
