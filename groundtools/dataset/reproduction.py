"""Reproduction `dataset`: builds of many small pictures, their memory, speed and repeatability.

Two areas of the embedded catalogue, 64 x 48 px at 600 m. Built once by one process, once
by two workers with the memory of parent and workers sampled: the peak is of their
resident sets, summed; growth is of what is their own (anonymous), while pictures are
made, labels left out. The files must be the same. The speed-up is of wall time: it needs two idle
cores. The status of 40,000 entries is timed by itself.
quick: 200 pictures; full: 2,000.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from groundtools.dataset import store
from groundtools.imagery.mosaics import Grid
from groundtools.registry import Check, Reproduction, Scale, at_least, at_most, noted

PICTURES: dict[Scale, int] = {"quick": 200, "full": 2_000}
ENTRIES = 40_000
SEED = 3
SAMPLE_S = 0.5
MB = 1e6
Sample = tuple[float, float, int]  # resident and own memory (bytes), processes
VINSAT = [sys.executable, "-P", "-c", "import sys; from groundtools.cli import main; sys.exit(main())"]

RECIPE = """
name = "{name}"
seed = {seed}
regions = ["west", "east"]
areas = {{ west = [11.2, 46.5, 11.8, 47.0], east = [12.2, 46.5, 12.8, 47.0] }}
camera = {{ width_px = 64, height_px = 48, scale_m_px = 600.0 }}

[splits.train]
per_region = {per_region}
first_year = 2021
last_year = 2022

[stac]
catalog = "embedded"
collections = ["embedded-l2a"]
bands = ["red", "green", "blue"]
high = 10000.0
mask_band = "scl"
resampling = "bilinear"
"""


def run(scale: Scale) -> tuple[Check, ...]:
    """Build, measure and compare; everything in a temporary folder."""
    count = PICTURES[scale]
    with tempfile.TemporaryDirectory(prefix="vinsat-dataset-") as name:
        folder = Path(name)
        _build(folder, "warm", 4, workers=1)  # the catalogue and the file cache
        one_s, _ = _build(folder, "one", count, workers=1)
        two_s, memory = _build(folder, "two", count, workers=2)
        resident, own = [m[0] for m in memory], [m[1] for m in memory if m[2] > 1]
        different = _different(folder / "one", folder / "two")
        status_s = _status_seconds(folder / "status")
    second, last = (float(np.max(part)) for part in (_quarter(own, 1), _quarter(own, 3)))
    return (
        noted("pictures", count),
        at_most("files_that_differ", different, 0),
        at_most("peak_memory", float(np.max(resident)) / MB, 1500.0, unit="MB"),
        at_most("memory_last_over_second_quarter", last / second, 1.1),
        noted("seconds_one_process", round(one_s, 1)),
        noted("seconds_two_workers", round(two_s, 1)),
        _speed_up(scale, one_s / two_s),
        at_most("status_of_40000_entries", status_s, 1.0, unit="s of processor"),
    )


def _speed_up(scale: Scale, value: float) -> Check:
    """Return the check; 200 pictures hardly outlast the start of the workers, so they are not judged."""
    return at_least("speed_up", value, 1.7) if scale == "full" else noted("speed_up", round(value, 2))


def _build(folder: Path, name: str, count: int, *, workers: int) -> tuple[float, list[Sample]]:
    """Build `count` pictures; return the seconds of it and samples of the memory meanwhile."""
    recipe = folder / f"{name}.toml"
    recipe.write_text(RECIPE.format(name="many", seed=SEED, per_region=count // 2), encoding="utf-8")
    command = [*VINSAT, "dataset", "build", recipe, "--out", folder / name, "--workers", str(workers)]
    begun, memory = time.monotonic(), [(0.0, 0.0, 0)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=_environment()) as process:
        while process.poll() is None:
            memory.append(_memory(process.pid))
            time.sleep(SAMPLE_S)
    if process.returncode:
        raise RuntimeError(f"the build of {name} ended with {process.returncode}")
    return time.monotonic() - begun, memory


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _memory(pid: int) -> Sample:
    """Return resident and own memory (bytes) of a process and all below it, and how many they are."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family, grown = {pid}, True
    while grown:
        new = {child for child, parent in parents.items() if parent in family} - family
        family |= new
        grown = bool(new)
    parts = [_memory_of(member) for member in family]
    return sum(part[0] for part in parts), sum(part[1] for part in parts), len(family)


def _memory_of(pid: int) -> tuple[float, float]:
    """Return resident and anonymous memory (bytes) of one process, zeros where it has ended."""
    found = {"Rss": 0.0, "Anonymous": 0.0}
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in found:
                found[name] = float(rest.split()[0]) * 1024
    except OSError:
        return 0.0, 0.0
    return found["Rss"], found["Anonymous"]


def _quarter(memory: list[float], number: int) -> list[float]:
    size = max(1, len(memory) // 4)
    return memory[number * size : (number + 1) * size] or memory[-1:]


def _different(one: Path, other: Path) -> int:
    """Return how many files of two folders differ or are in one alone."""
    names = {path.relative_to(root) for root in (one, other) for path in root.rglob("*") if path.is_file()}
    return sum(
        not ((one / name).is_file() and (other / name).is_file())
        or (one / name).read_bytes() != (other / name).read_bytes()
        for name in names
    )


def _status_seconds(folder: Path) -> float:
    """Return the processor seconds of `vinsat dataset status` over ENTRIES entries."""
    import resource

    folder.mkdir()
    text = RECIPE.format(name="many", seed=SEED, per_region=ENTRIES // 2)
    (folder / store.RECIPE).write_text(text, encoding="utf-8")
    grid = Grid(32632, 0.0, 0.0, 600.0, 64, 48)
    with open(folder / store.MANIFEST, "w", encoding="utf-8") as file:
        for region in ("west", "east"):
            for index in range(ENTRIES // 2):
                name = f"train/{region}-{index:05d}"
                fields = (name, f"images/{name}.tif", "0" * 64, 9_000, "train", region, "embedded-l2a", grid)
                entry = store.Entry(*fields, ("a", "b"), ("2021-05-04",), 100.0, 12.5, None)
                file.write(entry.line())
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*VINSAT, "dataset", "status", folder], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


REPRODUCTION = Reproduction(
    id="dataset",
    title="many small pictures: the same bytes on one and two workers, flat memory, speed-up, status",
    run=run,
    seeds=lambda scale: (SEED,),
)
