import json
import os
import resource
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import numpy as np
import pytest

from flightsw.errors import EXIT_INPUT, EXIT_OK, EXIT_USAGE, UsageError
from groundtools import cli, jobs
from groundtools.imagery.errors import EXIT_PARTIAL, EXIT_REMOTE
from groundtools.jobs import alone
from vinsat_sim.montecarlo.campaign import CHECK_EVERY, Plan, fly_campaign
from vinsat_sim.montecarlo.store import SHARDS, TRIALS, open_campaign, start

VINSAT = Path(sysconfig.get_path("scripts")) / "vinsat"


def fly(folder: Path, text: str, trials: int, **changes: object) -> object:
    return fly_campaign(folder, text, "stub", Plan(trials=trials, workers=1, **changes))  # type: ignore[arg-type]


def outcomes(folder: Path) -> list[object]:
    return [trial.outcome for trial in open_campaign(folder).trials()]


@pytest.mark.verifies("SIM-201")
def test_a_campaign_goes_on_where_it_was_stopped_and_flies_nothing_twice(stub, short_text, tmp_path):
    def stop(done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fly_campaign(tmp_path / "c", short_text, "stub", Plan(trials=20, workers=1), stop)
    assert len(list((tmp_path / "c" / SHARDS).glob("*.json"))) == 7
    flown = fly(tmp_path / "c", short_text, 20)
    assert (flown.made, flown.kept) == (13, 7)
    assert stub.flown == list(range(1, 21))
    assert fly(tmp_path / "c", short_text, 30).kept == 20  # a longer one takes up the shorter
    assert [one.seed for one in outcomes(tmp_path / "c")] == list(range(1, 31))
    assert not (tmp_path / "c" / SHARDS).exists()


@pytest.mark.verifies("SIM-201")
def test_a_torn_shard_and_a_torn_line_are_flown_again(stub, short_text, tmp_path):
    folder = tmp_path / "c"
    fly(folder, short_text, 5)
    lines = (folder / TRIALS).read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / TRIALS).write_text("".join([*lines[:3], lines[3][:30]]), encoding="utf-8")
    (folder / SHARDS).mkdir()
    (folder / SHARDS / "5.json").write_text(lines[4][:50], encoding="utf-8")
    stub.flown.clear()
    fly(folder, short_text, 5)
    assert stub.flown == [4, 5]
    assert (folder / TRIALS).read_text(encoding="utf-8").count("\n") == 5


@pytest.mark.verifies("SIM-202")
def test_a_trial_that_fails_is_set_aside_with_its_reason_and_tried_again_when_asked(
    stub, short_text, tmp_path
):
    stub.fails = {3}
    flown = fly(tmp_path / "c", short_text, 6)
    assert (flown.quarantined, flown.counted) == (1, 6)
    (bad,) = [trial for trial in open_campaign(tmp_path / "c").trials() if trial.outcome is None]
    assert (bad.seed, bad.quarantined) == (3, "ValueError: seed 3 is poison")
    stub.flown.clear()
    assert fly(tmp_path / "c", short_text, 6).quarantined == 1
    assert stub.flown == []
    stub.fails = set()
    assert fly(tmp_path / "c", short_text, 6, retry_quarantined=True).quarantined == 0
    assert stub.flown == [3]
    assert None not in outcomes(tmp_path / "c")


def test_a_campaign_of_failures_alone_ends_at_once(stub, short_text, tmp_path):
    stub.fails = set(range(1, 100))
    with pytest.raises(UsageError, match="the first 10 trials all failed: ValueError: seed 10 is poison"):
        fly(tmp_path / "c", short_text, 100)
    assert len(stub.flown) == 10


@pytest.mark.verifies("SIM-203")
def test_it_stops_when_the_interval_is_as_narrow_as_wanted_and_not_before(stub, short_text, tmp_path):
    flown = fly(tmp_path / "c", short_text, 5000, half_width=0.08)
    assert flown.sure
    assert flown.counted % CHECK_EVERY == 0
    assert flown.counted == flown.made == len(stub.flown)
    share, n = np.mean([one.error_last_image_km is not None and one.error_last_image_km < 5.0
                        for one in outcomes(tmp_path / "c")]), flown.counted  # fmt: skip
    assert 1.96 * np.sqrt(share * (1 - share) / n) < 0.085
    assert 1.96 * np.sqrt(share * (1 - share) / (n - CHECK_EVERY)) > 0.075
    again = fly(tmp_path / "c", short_text, 5000, half_width=0.08)
    assert (again.made, again.counted) == (0, flown.counted)


def test_a_folder_of_another_scenario_level_or_content_is_refused(stub, short_text, tmp_path):
    fly(tmp_path / "c", short_text, 2)
    for text, level in ((short_text + "\n", "stub"), (short_text, "other")):
        with pytest.raises(UsageError, match="another scenario or level"):
            fly_campaign(tmp_path / "c", text, level, Plan(trials=2, workers=1))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.tex").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="not empty and no campaign"):
        fly(tmp_path / "d", short_text, 2)


def test_two_at_work_in_one_folder_are_kept_apart(stub, short_text, tmp_path):
    start(tmp_path / "c", short_text, "stub")
    with alone(tmp_path / "c"), pytest.raises(UsageError, match="at work in it"):
        fly(tmp_path / "c", short_text, 2)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--level", "wishful"], EXIT_USAGE, "there are: images, measurement"),
        (["--trials", "0"], EXIT_USAGE, "at least 1"),
        (["--half-width", "0.7"], EXIT_USAGE, "--half-width"),
        (["--scheduler", "tcp://127.0.0.1:9"], EXIT_REMOTE, "tcp://127.0.0.1:9"),
    ],
)
def test_what_cannot_be_done_is_one_line(short_file, tmp_path, capsys, monkeypatch, arguments, code, said):
    monkeypatch.setattr(jobs, "CONNECT_S", 0.5)
    command = ["sim", "campaign", str(short_file), "--out", str(tmp_path / "c"), *arguments]
    assert cli.main(command) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_scenario_that_is_none_is_named(tmp_path, capsys):
    (tmp_path / "bad.toml").write_text("duration_h = -1.0\n", encoding="utf-8")
    for path in (tmp_path / "bad.toml", tmp_path / "none.toml"):
        assert cli.main(["sim", "campaign", str(path), "--out", str(tmp_path / "c")]) == EXIT_INPUT
        assert str(path) in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_the_command_prints_one_object_and_a_partial_campaign_exits_5(stub, short_file, tmp_path, capsys):
    stub.fails = {2}
    command = ["sim", "campaign", str(short_file), "--trials", "8", "--workers", "1", "--json"]
    assert cli.main([*command, "--out", str(tmp_path / "c")]) == EXIT_PARTIAL
    result = json.loads(capsys.readouterr().out)
    assert result["trials"] == 7
    assert result["quarantined"] == [{"seed": 2, "reason": "ValueError: seed 2 is poison"}]
    assert Path(result["report"]).is_file()


@pytest.mark.verifies("SIM-204")
def test_a_trial_is_a_function_of_scenario_and_seed(short_file, capsys):
    said = []
    for seed in (5, 5, 6):
        assert cli.main(["sim", "trial", str(short_file), "--seed", str(seed)]) == EXIT_OK
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert json.loads(said[2])["seed"] == 6


@pytest.mark.verifies("SIM-205")
@pytest.mark.slow
def test_a_scheduler_elsewhere_gives_the_same_trials_with_and_without_this_folder(short_text, tmp_path):
    from distributed import LocalCluster

    plan = Plan(trials=6, workers=1)
    fly_campaign(tmp_path / "here", short_text, "measurement", plan)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1") as cluster:
        plan = Plan(trials=6, scheduler=cluster.scheduler_address)
        assert fly_campaign(tmp_path / "far", short_text, "measurement", plan).made == 6
    assert outcomes(tmp_path / "far") == outcomes(tmp_path / "here")


def test_a_worker_that_does_not_see_the_folder_hands_the_trial_back(stub, short_text, tmp_path):
    from vinsat_sim.montecarlo.campaign import fly_one

    trial = fly_one(short_text, "stub", tmp_path / "nowhere", False, 3)
    assert trial.outcome is not None
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.slow
def test_the_parent_of_ten_thousand_trials_does_not_grow(stub, short_text, tmp_path):
    grown = []

    def watch(done: int, total: int) -> None:
        stub.flown.clear()
        if done in (1000, 10_000):
            grown.append(resident_mb())

    flown = fly_campaign(tmp_path / "c", short_text, "stub", Plan(trials=10_000, workers=1), watch)
    assert flown.made == 10_000
    assert grown[1] - grown[0] < 5.0  # MB


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def killed_and_finished(
    folder: Path, scenario: Path, rng: np.random.Generator, children, *, kills: int, workers: int
) -> int:
    """Kill a campaign `kills` times, a worker before every other one, and return how many trials there were.

    A stored trial stays the very file it was: same inode, same time.
    """
    command = [VINSAT, "sim", "campaign", scenario, "--trials", "5000", "--out", folder]
    command += ["--workers", str(workers)]
    kept: dict[str, tuple[int, int]] = {}
    for number in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wanted, end = len(kept) + 2 + int(rng.integers(6)), time.monotonic() + 240.0
        while len(stamps(folder)) < wanted and time.monotonic() < end:
            time.sleep(0.05)
        if number % 2 and workers > 1:
            kill(children(process.pid)[-1])
            time.sleep(rng.uniform(0.0, 2.0))
        assert process.poll() is None, "the kill met no campaign at work"
        process.kill()  # its workers are left to notice and end
        process.wait()
        now = stamps(folder)
        assert {name: now.get(name) for name in kept} == kept, "a stored trial was lost or flown again"
        kept = now
    return len(kept)


def same_as_alone(folder: Path, text: str, alone_in: Path, trials: int) -> bool:
    """Finish a campaign and tell whether it holds what one process alone makes."""
    plan = Plan(trials=trials, workers=1)
    fly_campaign(folder, text, "measurement", plan)
    fly_campaign(alone_in, text, "measurement", plan)
    return outcomes(folder)[:trials] == outcomes(alone_in)


@pytest.mark.verifies("SIM-201")
def test_two_kills_lose_and_repeat_nothing(short_text, short_file, tmp_path, rng, children):
    there = killed_and_finished(tmp_path / "c", short_file, rng, children, kills=2, workers=1)
    assert there >= 4
    assert same_as_alone(tmp_path / "c", short_text, tmp_path / "alone", 6)


@pytest.mark.verifies("SIM-201")
@pytest.mark.slow
def test_twenty_kills_of_workers_and_parent_lose_and_repeat_nothing(
    short_text, short_file, tmp_path, rng, children
):
    there = killed_and_finished(tmp_path / "c", short_file, rng, children, kills=20, workers=2)
    assert there >= 40
    assert same_as_alone(tmp_path / "c", short_text, tmp_path / "alone", there)


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in (folder / SHARDS).glob("[0-9]*.json"):
        stat = path.stat()
        found[path.name] = (stat.st_ino, stat.st_mtime_ns)
    return found
