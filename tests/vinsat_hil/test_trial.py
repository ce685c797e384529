"""Whole trials: the same on every run and rung, judged, replayed."""

import json
import socket
import threading
from dataclasses import replace

import pytest

from groundtools.cli import main
from vinsat_hil.agent import serve
from vinsat_hil.composition import draw_faults, read_faults
from vinsat_hil.invariants import INVARIANTS
from vinsat_hil.mutants import MUTANTS
from vinsat_hil.mutation_check import check_mutants
from vinsat_hil.rig import load_rig
from vinsat_hil.scenario import load_scenario
from vinsat_hil.trial import run_trial

BRIEF = load_scenario("brief")
HARD = "power_cut@5*9#1,disk_full@300+900,kill_worker@5980,link_loss@-20+3000*0.5#2"


def fly(rig: str, faults: str, seed: int = 3):
    return run_trial(BRIEF, load_rig(rig), read_faults(faults), seed)


@pytest.mark.verifies("HIL-004")
def test_in_process_and_as_a_process_it_is_the_same_flight():
    one, other = fly("process", HARD), fly("in-process", HARD)
    assert one.chain == other.chain
    assert one.digest == other.digest
    assert one.deaths == other.deaths == 1
    assert not one.violated
    assert not other.violated


@pytest.mark.slow
@pytest.mark.verifies("HIL-004")
@pytest.mark.parametrize("seed", range(10))
def test_drawn_compositions_are_the_same_on_two_runs_and_on_both_rungs(seed):
    busy_s = [float(t) for t in BRIEF.frame_times_s()]
    faults = draw_faults(
        seed, rung="in-process", inference="observations", busy_s=busy_s, until_s=BRIEF.faults_until_s()
    )
    chains = [
        run_trial(BRIEF, load_rig(rig), faults, seed).chain for rig in ("process", "process", "in-process")
    ]
    assert chains[0] == chains[1] == chains[2]


@pytest.mark.slow
@pytest.mark.verifies("HIL-005")
def test_a_board_behind_an_agent_flies_as_one_that_is_here(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ready = threading.Event()
    server = threading.Thread(
        target=serve, args=("127.0.0.1", port, tmp_path), kwargs={"ready": ready}, daemon=True
    )
    server.start()
    assert ready.wait(10)
    rig = load_rig("pi-ethernet")
    rig = replace(rig, remote=replace(rig.remote, agent=f"127.0.0.1:{port}", host="127.0.0.1", link="pty"))
    far = run_trial(BRIEF, rig, read_faults(HARD), 3)
    assert far.chain == fly("process", HARD).chain
    assert not far.violated


@pytest.mark.verifies("HIL-006")
def test_the_command_prints_digest_invariants_and_replay(capsys):
    faults = "kill@20"
    assert main(["hil", "run", "--scenario", "brief", "--faults", faults, "--seed", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["digest"]) == 32
    assert [row["name"] for row in found["invariants"]] == [one.name for one in INVARIANTS]
    assert all(row["held"] for row in found["invariants"])
    assert found["replay"] == 'vinsat hil run --rig process --scenario brief --faults "kill@20" --seed 5'


@pytest.mark.verifies("HIL-007")
@pytest.mark.parametrize("name", ["truth_leaks", "counter_not_kept"])
def test_a_seeded_defect_is_caught(name):
    (row,) = check_mutants(only=name)
    assert row["caught_by"]


@pytest.mark.slow
@pytest.mark.verifies("HIL-007")
@pytest.mark.parametrize("name", MUTANTS)
def test_every_seeded_defect_is_caught_and_nothing_without_one(name):
    mutant = MUTANTS[name]
    assert not run_trial(BRIEF, load_rig("process"), read_faults(mutant.provoked_by), 1).violated
    (row,) = check_mutants(only=name)
    assert row["caught_by"], row


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "faults", "seed"), [("pictures", "hang@15.9#700,flip_model@55*12#398", 0)]
)
def test_what_fault_trials_once_found_is_mended(scenario, faults, seed):
    assert not run_trial(load_scenario(scenario), load_rig("process"), read_faults(faults), seed).violated
