"""The payload as a whole, in lock-step and in (accelerated) real time."""

import json

import numpy as np
import pytest
from rig import make_rig

from flightsw.runtime.known_case import EPOCH
from flightsw.runtime.link.commands import Outcome


def ticks(case, *, until_s=6400.0):
    """Return the instants of a run: every 10 s in the passes, every 60 s between."""
    t_s = np.concatenate([np.arange(-20.0, until_s, 60.0), case.observations.frame_t_s])
    return [EPOCH + float(t) for t in np.unique(t_s)]


def fly_through(rig, host, **options):
    """Run the rig in lock-step to the end; return the digests."""
    rig.write(clock=host.table(), **options)
    rig.start()
    host.accept()
    return [host.tick(epoch) for epoch in ticks(rig.case)]


def error_and_sigma(rig):
    """Return the position error and the stated sigma, m, at the solution's epoch."""
    solution = json.loads((rig.folder / "products" / "solution.json").read_text(encoding="utf-8"))
    assert solution["status"] == "DETERMINED", solution["reason"]
    from flightsw.runtime.solution_file import read_solution

    found = read_solution(rig.folder / "products" / "solution.json")
    t_s = rig.case.observations.frame_t_s
    state, covariance = found.predict(t_s - (found.epoch - rig.case.observations.epoch))
    error = np.linalg.norm(state[:, :3] - rig.case.state[:, :3], axis=1)
    return error.max(), np.sqrt(np.trace(covariance[:, :3, :3], axis1=1, axis2=2)).max()


@pytest.mark.verifies("PAY-020")
def test_a_lock_step_run_finds_the_orbit_and_a_second_one_is_the_same(rig, host, tmp_path):
    digests = fly_through(rig, host)
    assert rig.end() == 0
    error, sigma = error_and_sigma(rig)
    assert error < 5 * sigma
    assert error < 1000.0  # m
    host.peer.close()
    again = make_rig(tmp_path / "again")
    try:
        assert fly_through(again, host) == digests
    finally:
        again.close()
    assert len(set(digests)) > 20


def test_mode_and_parameters_follow_commands(rig):
    rig.write(clock=rig.scaled_clock(1.0, lead_s=3600.0))
    rig.start()
    ground = rig.ground()
    assert ground.command("PING").outcome is Outcome.DONE
    assert ground.command("SET_PARAMETER", parameter=2, value=0.5).outcome is Outcome.DONE
    refused = ground.command("SET_PARAMETER", parameter=2, value=1e9)
    assert (refused.outcome, refused.text) == (Outcome.REFUSED, "housekeeping_period_s is 0.5 to 600")
    assert ground.command("SET_MODE", mode="SAFE").outcome is Outcome.DONE
    assert ground.command("SET_MODE", mode="IMAGING").outcome is Outcome.REFUSED
    while ground.wait_for("HOUSEKEEPING", 10.0).values["command_counter"] < 5:
        pass  # of before the commands
    assert rig.end() == 0
