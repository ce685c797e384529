import errno
import json
import os
import resource
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np
import pytest

from flightsw.errors import EXIT_INPUT, EXIT_USAGE
from groundtools import cli, jobs
from groundtools.dataset import store
from groundtools.dataset.build import build, start
from groundtools.imagery import geotiff_write
from groundtools.imagery.errors import EXIT_PARTIAL, EXIT_REMOTE
from groundtools.jobs import alone

VINSAT = Path(sysconfig.get_path("scripts")) / "vinsat"


def run_build(recipe: Path, out: Path, workers: int = 1, *, command: str = "build") -> int:
    place = [str(recipe), "--out", str(out)] if command == "build" else [str(out)]
    return cli.main(["dataset", command, *place, "--workers", str(workers)])


@pytest.mark.verifies("DAT-004")
def test_a_repeat_and_workers_give_the_same_bytes(recipe, tmp_path, files_of, capsys):
    path = recipe()
    for name, workers in (("one", 1), ("again", 1), ("two", 2)):
        assert run_build(path, tmp_path / name, workers) == 0
    one = files_of(tmp_path / "one")
    assert len([name for name in one if name.startswith("images/")]) == 6
    assert files_of(tmp_path / "again") == one
    assert files_of(tmp_path / "two") == one
    assert cli.main(["dataset", "verify", str(tmp_path / "two")]) == 0


@pytest.mark.verifies("DAT-004")
@pytest.mark.slow
def test_the_embedded_recipe_gives_the_same_bytes_on_one_and_four_workers(tmp_path, files_of):
    embedded = Path(__file__).parents[3] / "datasets" / "recipes" / "embedded.toml"
    for workers in (1, 4):
        assert run_build(embedded, tmp_path / str(workers), workers) == 0
    one = files_of(tmp_path / "1")
    assert sum(name.endswith(".tif") for name in one) >= 8
    assert files_of(tmp_path / "4") == one


def kill_and_resume(
    path: Path, out: Path, rng: np.random.Generator, kills: int, children, *, workers: int
) -> int:
    """Kill builds at random instants until `kills` are done, then finish; return how many met work.

    Every other time a worker is killed instead of the parent (where there are workers).
    Finished pictures must stay the very files they were: same inode, same time.
    """
    met = 0
    for number in range(kills):
        place = [str(path), "--out", str(out)] if not (out / "recipe.toml").is_file() else [str(out)]
        command = [VINSAT, "dataset", "build" if len(place) > 1 else "resume", *place]
        before = snapshot(out)
        process = subprocess.Popen(
            [*command, "--workers", str(workers)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(0.8, 3.0 if workers == 1 else 6.0))
        below = children(process.pid)
        if number % 2 and workers > 1 and below:
            os.kill(below[rng.integers(len(below))], signal.SIGKILL)
            time.sleep(rng.uniform(0.0, 1.0))
        below = children(process.pid)
        met += process.poll() is None
        process.kill()
        process.wait()
        for child in below:  # a real kill of a session takes them too
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        after = snapshot(out)
        assert before.items() <= after.items(), "a finished picture was made again"
        assert all(store.read_entry(out, name) is not None for name in after), "half a picture"
    before = snapshot(out)
    assert run_build(path, out, command="resume") == 0
    assert before.items() <= snapshot(out).items()
    return met


def snapshot(out: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of every picture under its final name."""
    pictures = sorted((out / "images").rglob("*.tif")) if (out / "images").is_dir() else []
    return {
        path.relative_to(out / "images").with_suffix("").as_posix(): (
            path.stat().st_ino,
            path.stat().st_mtime_ns,
        )
        for path in pictures
    }


@pytest.mark.verifies("DAT-005")
def test_builds_killed_at_random_instants_end_where_an_undisturbed_one_does(
    recipe, tmp_path, files_of, rng, children
):
    path = recipe(train=12)
    assert run_build(path, tmp_path / "calm") == 0
    kill_and_resume(path, tmp_path / "killed", rng, 2, children, workers=1)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "calm")


@pytest.mark.verifies("DAT-005")
@pytest.mark.slow
def test_twenty_kills_of_parents_and_workers_lose_nothing(recipe, tmp_path, files_of, rng, children):
    path = recipe(train=300)
    assert run_build(path, tmp_path / "calm") == 0
    met = kill_and_resume(path, tmp_path / "killed", rng, 20, children, workers=2)
    assert met >= 10, f"only {met} of 20 kills met a running build"
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "calm")


@pytest.mark.verifies("DAT-005")
def test_a_picture_whose_entry_was_lost_is_taken_up_and_not_made_again(recipe, tmp_path, files_of):
    out = tmp_path / "out"
    assert run_build(recipe(), out) == 0
    whole, times = files_of(out), snapshot(out)
    lines = (out / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    (out / "manifest.jsonl").write_bytes(b"".join(lines[:2]) + lines[2][:40])  # killed while writing
    (out / "images" / "train" / ".x.tif.1.part").write_bytes(b"half")
    assert run_build(recipe(), out, command="resume") == 0
    assert files_of(out) == whole
    assert snapshot(out) == times


@pytest.mark.verifies("DAT-006")
def test_verify_finds_what_is_missing_cut_or_altered_and_resume_mends_it(recipe, tmp_path, files_of, capsys):
    out = tmp_path / "out"
    assert run_build(recipe(), out) == 0
    whole = files_of(out)
    images = sorted((out / "images" / "train").iterdir())
    images[0].unlink()
    images[1].write_bytes(images[1].read_bytes()[:-9])
    content = bytearray(images[2].read_bytes())
    content[-30] ^= 1
    images[2].write_bytes(content)
    (out / "images" / "train" / "stray.tif").write_bytes(b"?")
    capsys.readouterr()
    assert cli.main(["dataset", "verify", str(out)]) == EXIT_INPUT
    lines = capsys.readouterr().out.splitlines()
    for path, word in zip(images[:3], ("missing", "bytes", "altered"), strict=True):
        assert any(path.name in line and word in line for line in lines)
    assert any("stray.tif" in line for line in lines)
    (out / "images" / "train" / "stray.tif").unlink()
    images[2].unlink()  # what is altered but of the same size is found by verify alone
    assert run_build(recipe(), out, command="resume") == 0
    assert files_of(out) == whole


@pytest.mark.verifies("DAT-006")
def test_splits_that_share_a_scene_are_found(recipe, tmp_path):
    from dataclasses import replace

    from groundtools.dataset.verify import shared_by_splits

    out = tmp_path / "out"
    assert run_build(recipe(), out) == 0
    records = list(store.read_manifest(out).values())
    assert shared_by_splits(records) == []
    leak = replace(records[0], split="validation", name="validation/x")
    assert any("is shared by train and validation" in line for line in shared_by_splits([*records, leak]))


@pytest.mark.verifies("DAT-007")
def test_a_poisoned_scene_is_set_aside_with_its_reason_and_the_rest_is_made(
    recipe, catalogue, tmp_path, capsys
):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(catalogue.parent, copy)
    for path in copy.rglob("*-20190709/red.tif"):  # all of the validation split
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 3])
    out = tmp_path / "out"
    assert run_build(recipe(copy / "catalog.json"), out) == EXIT_PARTIAL
    records = store.read_manifest(out)
    aside = {name: record for name, record in records.items() if isinstance(record, store.Quarantined)}
    assert set(aside) == {"validation/west-00000", "validation/east-00000"}
    assert all("cannot be read" in record.reason for record in aside.values())
    capsys.readouterr()
    assert cli.main(["dataset", "status", str(out), "--json"]) == EXIT_PARTIAL
    printed = json.loads(capsys.readouterr().out)
    assert printed["made"] == {"train": 4, "validation": 0}
    assert sum(printed["quarantined"].values()) == 2
    shutil.copytree(catalogue.parent, copy, dirs_exist_ok=True)
    assert cli.main(["dataset", "resume", str(out), "--workers", "1", "--retry-quarantined"]) == 0


@pytest.mark.verifies("DAT-007")
def test_no_picture_anywhere_is_said_and_nothing_is_written(recipe, tmp_path):
    path = recipe()
    text = path.read_text().replace(
        "first_year = 2019\nlast_year = 2019", "first_year = 2017\nlast_year = 2017"
    )
    path.write_text(text)
    out = tmp_path / "out"
    assert run_build(path, out) == EXIT_PARTIAL
    (record,) = {
        r.reason.partition(": ")[2] for r in store.read_manifest(out).values() if hasattr(r, "reason")
    }
    assert record == "no scene of embedded-l2a meets it"
    assert not (out / "images" / "validation").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(recipe, tmp_path, monkeypatch, capsys):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "out"
    start(recipe(), out)
    monkeypatch.setattr(geotiff_write.os, "fsync", full)
    assert run_build(recipe(), out) == EXIT_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert "no space left" in line
    assert not list(out.rglob("*.part"))
    assert not list(out.rglob("*.tif"))


def test_a_file_size_limit_of_the_system_is_met_cleanly(recipe, tmp_path):
    out = tmp_path / "out"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    command = [VINSAT, "dataset", "build", recipe(), "--out", out, "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == EXIT_USAGE
    assert "cannot be written (file too large)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(out.rglob("*.tif"))
    assert not list(out.rglob("*.part"))


@pytest.mark.parametrize("place", ["/proc/no", "FILE/out"])
def test_a_folder_that_cannot_be_written_is_one_line(recipe, tmp_path, capsys, place):
    (tmp_path / "file").write_text("x")
    out = Path(place.replace("FILE", str(tmp_path / "file")))
    assert run_build(recipe(), out) == EXIT_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line


def test_a_folder_of_another_recipe_is_refused(recipe, tmp_path, capsys):
    out = tmp_path / "out"
    start(recipe(), out)
    assert run_build(recipe(train=3), out) == EXIT_USAGE
    assert "another recipe" in capsys.readouterr().err


def test_two_builds_in_one_folder_are_kept_apart(recipe, tmp_path, capsys):
    out = tmp_path / "out"
    start(recipe(), out)
    with alone(out):
        assert run_build(recipe(), out) == EXIT_USAGE
    assert "another build" in capsys.readouterr().err


def test_a_scheduler_that_does_not_answer_is_named(recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(jobs, "CONNECT_S", 0.5)
    arguments = ["--out", str(tmp_path / "out"), "--scheduler", "tcp://127.0.0.1:9"]
    assert cli.main(["dataset", "build", str(recipe()), *arguments]) == EXIT_REMOTE
    assert "tcp://127.0.0.1:9" in capsys.readouterr().err


POISON = """
import os, signal, sys
from pathlib import Path
from groundtools.dataset import build, store

def poisonous(text, out, product):
    if product.name == "train/west-00001":
        os.kill(os.getpid(), signal.SIGKILL)
    return store.Quarantined(product.name, "not made")

if __name__ == "__main__":
    recipe, out = map(Path, sys.argv[1:])
    build.make_one = poisonous
    build.start(recipe, out)
    build.build(out, workers=2)
"""


@pytest.mark.verifies("DAT-007")
@pytest.mark.slow
def test_a_picture_that_kills_its_workers_is_set_aside_and_the_rest_goes_on(recipe, tmp_path):
    script, out = tmp_path / "poison.py", tmp_path / "out"
    script.write_text(POISON)
    command = [sys.executable, "-P", script, recipe(), out]
    subprocess.run(command, capture_output=True, timeout=300, check=True)
    reasons = {name: record.reason for name, record in store.read_manifest(out).items()}
    assert "killed its worker" in reasons.pop("train/west-00001")
    assert len(reasons) == 5
    assert set(reasons.values()) == {"not made"}


@pytest.mark.slow
def test_a_scheduler_elsewhere_gives_the_same_bytes(recipe, tmp_path, files_of):
    from distributed import LocalCluster

    path = recipe()
    assert run_build(path, tmp_path / "one") == 0
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1") as cluster:
        start(path, tmp_path / "far")
        result = build(tmp_path / "far", scheduler=cluster.scheduler_address)
    assert result.made == 6
    images = {name: c for name, c in files_of(tmp_path / "one").items() if name.startswith("images/")}
    assert {n: c for n, c in files_of(tmp_path / "far").items() if n.startswith("images/")} == images


def test_the_plan_of_a_dry_run_makes_nothing(recipe, tmp_path, capsys):
    arguments = ["dataset", "build", str(recipe()), "--out", str(tmp_path / "out"), "--dry-run"]
    assert cli.main(arguments) == 0
    assert "small: 6 pictures" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.verifies("DAT-008")
def test_the_status_of_forty_thousand_entries_is_counted(tmp_path, capsys):
    recipes = Path(__file__).parents[3] / "datasets" / "recipes"
    out = tmp_path / "out"
    recipe = start(recipes / "thesis-sentinel2.toml", out)
    from groundtools.dataset.products import products

    grid = next(products(recipe)).grid
    with open(out / "manifest.jsonl", "w", encoding="utf-8") as file:
        for split, count in (("train", 2000), ("validation", 500)):
            fields = ("NAME", "images/NAME.tif", "0" * 64, 24_000_000, split, "REGION", "C", grid)
            line = store.Entry(*fields, (), ("2020-01-01/2022-12-31",), 99.0, None, None).line()
            for region in recipe.regions:
                for index in range(count):
                    name = f"{split}/{region}-{index:05d}"
                    file.write(line.replace("NAME", name).replace("REGION", region))
    assert cli.main(["dataset", "status", str(out)]) == 0
    assert "train: 32,000 of 32,000" in capsys.readouterr().out
