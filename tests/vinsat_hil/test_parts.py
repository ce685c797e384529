"""Parts of the harness by themselves: link faults, feed, shrinker, rigs, doctor, agent's messages."""

import socket
import struct
from dataclasses import dataclass

import numpy as np
import pytest

from flightsw.errors import InputError
from flightsw.runtime.link.framing import Framer, encode_frame
from groundtools.cli import main
from vinsat_hil.agent import LENGTH, RemoteTarget, receive, serve_one
from vinsat_hil.composition import read_faults
from vinsat_hil.doctor import examine
from vinsat_hil.feed import ROLLOVER_S, make_feed
from vinsat_hil.invariants import Verdict
from vinsat_hil.rig import load_rig, rig_names
from vinsat_hil.scenario import Truth, flown, load_scenario, scenario_names
from vinsat_hil.shrink import shrink
from vinsat_hil.trial import GREY
from vinsat_hil.trials import consistency
from vinsat_hil.wire import PtyWire, Spoiler

BRIEF = load_scenario("brief")
CASE = flown(BRIEF, 1)


def feed(line: str):
    return make_feed(BRIEF, CASE, read_faults(line), lambda t_s: (GREY, True))


@pytest.mark.verifies("HIL-001")
@pytest.mark.parametrize(
    ("line", "arrive"),
    [
        ("none", {0: 0.0, 10: 10.0, 20: 20.0, 30: 30.0}),
        ("frame_drop@5+10*1", {0: 0.0, 20: 20.0, 30: 30.0}),
        ("frame_late@15+10*100", {0: 0.0, 10: 10.0, 20: 120.0, 30: 30.0}),
        ("frame_reorder@-5+20", {0: 11.0, 10: 10.0, 20: 20.0, 30: 30.0}),
    ],
)
def test_frames_arrive_when_the_faults_let_them(line, arrive):
    shots = [shot for shot in feed(line).shots if shot.t_s < 100]
    assert {shot.t_s: shot.arrives_s for shot in shots} == arrive
    assert [s.arrives_s for s in shots] == sorted(s.arrives_s for s in shots)


def test_a_frame_that_shows_nothing_has_no_rows_and_a_duplicate_is_in_the_table_once():
    whole, blind = feed("frame_duplicate@-5+100"), feed("frame_black@-5+100")
    assert len(whole.shots) == 2 * 4 + 4
    assert len(whole.table()) == len(CASE.observations)
    assert not any(shot.rows for shot in blind.shots if shot.t_s < 100)


def test_clocks_step_drift_and_roll_over():
    clock = feed("clock_step@100*60,clock_drift@0+1000*5,clock_rollover@2000+500").clock
    assert clock.offset_s(50.0) == pytest.approx(50 * 5e-6)
    assert clock.offset_s(1500.0) == pytest.approx(60 + 1000 * 5e-6)
    assert clock.offset_s(2100.0) == pytest.approx(60 + 5e-3 - ROLLOVER_S)
    assert clock.offset_s(2600.0) == pytest.approx(60 + 5e-3)


def test_the_truth_is_where_the_case_has_it():
    from flightsw.astro.rotation import ecef_from_eci

    t_s = CASE.observations.frame_t_s[-1]
    expected = ecef_from_eci(CASE.observations.epoch, np.array([t_s]))[0] @ CASE.state[-1, :3]
    assert np.linalg.norm(Truth(CASE).r_ecef(float(t_s)) - expected) < 1e-3  # m


@pytest.mark.verifies("HIL-001")
@pytest.mark.parametrize(
    ("line", "least", "most"),
    [
        ("link_loss@0+10*0.5", 60, 140), ("link_duplicate@0+10*0.5", 260, 340),
        ("link_errors@0+10*0.001", 120, 199), ("link_burst@0+10*8", 0, 20), ("link_loss@50+10*0.9", 200, 200),
    ],
)  # fmt: skip
def test_a_spoiled_link_passes_about_as_many_packets_as_it_says(line, least, most, rng):
    spoiler, framer = Spoiler(read_faults(line), 0), Framer()
    packets = [rng.bytes(40) for _ in range(200)]
    data = spoiler.pass_on(b"".join(encode_frame(packet) for packet in packets), 5.0)
    arrived = [packet for packet in framer.feed(data) if packet in set(packets)]
    assert least <= len(arrived) <= most


def test_what_is_sent_down_a_pseudo_terminal_lies_there_when_send_returns():
    wire = PtyWire()
    import os

    end = os.open(wire.path, os.O_RDWR | os.O_NONBLOCK)
    try:
        for size in (1, 100, 2000):
            data = bytes(range(256)) * 8
            wire.send(data[:size])
            assert os.read(end, 4096) == data[:size]
        os.write(end, b"up" * 500)
        assert wire.receive(1000) == b"up" * 500
    finally:
        os.close(end)
        wire.close()


@dataclass(frozen=True)
class Flown:
    violated: tuple[Verdict, ...]


@pytest.mark.verifies("HIL-008")
@pytest.mark.parametrize("guilty", ["kill@1", "kill@1,hang@3", "none"])
def test_the_shrinker_finds_exactly_the_guilty_faults(guilty):
    whole = read_faults("kill@1,outliers@2+5,hang@3,disk_full@4+5")
    culprits = set(read_faults(guilty))

    def fly(faults):
        return Flown((Verdict("x", False, "bad"),) if culprits <= set(faults) else ())

    few, outcome = shrink(whole, ["x"], fly)
    assert set(few) == culprits
    assert outcome is not None
    assert shrink(whole, ["y"], fly) == (whole, None)


def test_a_sigma_that_is_half_of_what_it_should_be_is_noticed(rng):
    def trials(scale):
        sizes = np.abs(rng.standard_normal(60))
        return [{"error_m": 100.0 * x, "sigma_m": 100.0 * scale, "faults": "none"} for x in sizes]

    assert consistency(trials(1.0))["held"]
    assert not consistency(trials(0.5))["held"]


def test_all_rigs_and_scenarios_that_are_shipped_can_be_read():
    assert {load_rig(name).rung for name in rig_names()} == {"in-process", "process", "emulated", "remote"}
    assert {load_scenario(name).name for name in scenario_names()} == set(scenario_names())


@pytest.mark.parametrize("what", ["rig", "scenario"])
def test_a_rig_or_scenario_that_is_not_there_is_refused_with_what_is(what, capsys):
    assert main(["hil", "run", f"--{what}", "nowhere"]) == 3
    assert "one of" in capsys.readouterr().err


@pytest.mark.verifies("HIL-009")
def test_the_doctor_names_what_a_rig_lacks(monkeypatch):
    monkeypatch.setenv("VINSAT_ARM64_ROOT", "/nowhere")
    by_name = {finding.name: finding for finding in examine(load_rig("emulated"))}
    assert by_name["arm64 system"].state == "missing"
    assert by_name["arm64 system"].fix
    rig = load_rig("pi-uart")
    from dataclasses import replace

    rig = replace(rig, remote=replace(rig.remote, agent="127.0.0.1:1", link="serial:/dev/nowhere:460800"))
    states = {finding.name: finding.state for finding in examine(rig)}
    assert (states["agent"], states["serial line"]) == ("missing", "missing")
    assert all(finding.state != "missing" for finding in examine(load_rig("process")))


@pytest.mark.verifies("HIL-005")
@pytest.mark.parametrize(
    "sent", [b"", b"\xff" * 40, LENGTH.pack(4) + b"null", LENGTH.pack(2) + b"{}", LENGTH.pack(9) + b"{"]
)
def test_an_agent_outlives_whoever_speaks_nonsense(sent, tmp_path):
    ours, theirs = socket.socketpair()
    ours.sendall(sent)
    ours.shutdown(socket.SHUT_WR)
    serve_one(theirs, tmp_path)
    theirs.close()
    ours.close()


def test_an_agent_gives_nothing_that_lies_outside(tmp_path):
    import threading

    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def serve():
        peer, _ = server.accept()
        with peer:
            serve_one(peer, tmp_path)

    thread = threading.Thread(target=serve)
    thread.start()
    rig = load_rig("pi-ethernet")
    from dataclasses import replace

    target = RemoteTarget(
        tmp_path / "here", replace(rig, remote=replace(rig.remote, agent=f"127.0.0.1:{port}"))
    )
    try:
        target.put("payload/x", b"y")
        assert target.get("payload/x") == b"y"
        assert target.names("payload") == ["x"]
        with pytest.raises(FileNotFoundError):
            target.get("payload/z")
        with pytest.raises(InputError, match="leads out"):
            target.get("../../etc/hostname")
    finally:
        target.close()
        thread.join(10)
        server.close()


def test_a_message_that_claims_too_much_is_refused():
    ours, theirs = socket.socketpair()
    ours.sendall(struct.pack(">I", 1 << 30))
    with pytest.raises(ValueError, match="too long"):
        receive(theirs)
    ours.close()
    theirs.close()
