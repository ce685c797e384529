"""`vinsat flash bundle`: everything that flies, in one signed tar, the same bytes every time."""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import flightsw
from flightsw.errors import InputError
from flightsw.files import prepare_folder
from flightsw.vision.manifest import NAME, SEAL, read_manifest
from groundtools.flash import signing
from groundtools.flash.archive import (
    END,
    FORMAT,
    KEY,
    MANIFEST,
    SIGNATURE,
    Info,
    Member,
    manifest_text,
    padding,
    tar_header,
)

HERE = Path(__file__).parent
EXECUTABLE, PLAIN = 0o755, 0o644
TIME = 1_767_225_600  # 2026-01-01, of all files unless SOURCE_DATE_EPOCH says otherwise
# What flies beside flightsw, for 64-bit ARM. Fixed, so that a bundle can be made again.
WHEELS = (
    "numpy==2.4.6", "scipy==1.17.1", "onnxruntime==1.32.0", "simplejpeg==1.9.0", "flatbuffers==25.12.19",
    "packaging==26.3", "protobuf==7.36.2",
)  # fmt: skip
PLATFORMS = (
    "manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64",
)  # fmt: skip
PythonTag = Literal["3.11", "3.13"]  # Raspberry Pi OS bookworm, trixie


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    content: bytes
    mode: int = PLAIN


def make_bundle(
    out: Path,
    *,
    models: Path,
    key: Path | None = None,
    python: PythonTag = "3.11",
    wheels: Path | None = None,
) -> Path:
    """Write vinsat-VERSION-aarch64-cpPY.tar into `out` and return its path.

    key : private Ed25519 key (PEM), the development key without it; wheels : a folder of
    wheels to take instead of downloading them. Raises InputError.
    """
    prepare_folder(out)
    private = signing.development_key() if key is None else signing.read_key(key)
    public = signing.public_key(private)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "wheels" if wheels is None else wheels
        if wheels is None:
            download_wheels(folder, python)
        files = [_File(KEY, public), *_files(models, folder)]
        info = Info(FORMAT, version("vinsat"), f"cp{python.replace('.', '')}", _time())
        members = [
            Member(f.name, hashlib.sha256(f.content).hexdigest(), f.mode, len(f.content)) for f in files
        ]
        manifest = manifest_text(info, members)
        signature = signing.sign(private, manifest, Path(scratch))
    path = out / f"vinsat-{info.version}-aarch64-{info.python}.tar"
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        for f in (_File(MANIFEST, manifest), _File(SIGNATURE, signature), *files):
            file.write(tar_header(f.name, len(f.content), f.mode, info.time))
            file.write(f.content)
            file.write(padding(len(f.content)))
        file.write(END)
    os.replace(part, path)
    return path


def download_wheels(folder: Path, python: PythonTag) -> None:
    """Fetch the wheels of `WHEELS` by pip. Raises InputError."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", python, "--dest", str(folder)]
    command += [word for name in PLATFORMS for word in ("--platform", name)]
    done = subprocess.run([*command, *WHEELS], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()[-1:] or ["pip said nothing"]
        raise InputError(
            f"cannot be downloaded: {words[0][:200]}",
            file="wheels",
            fix="look at the network, or give a folder of them with --wheels",
        )


def _files(models: Path, wheels: Path) -> Iterator[_File]:
    """Return every file but manifest, signature and key, in the order of the bundle."""
    for name in ("archive.py", "install.py"):
        yield _File(name, (HERE / name).read_bytes())
    root = Path(flightsw.__file__).parent
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield _File(f"app/flightsw/{path.relative_to(root).as_posix()}", path.read_bytes())
    for path in sorted((HERE / "bin").iterdir()):
        yield _File(f"bin/{path.name}", path.read_bytes(), EXECUTABLE)
    for path in sorted((HERE / "config").iterdir()):
        yield _File(f"config/{path.name}", path.read_bytes())
    named = {entry.file for entry in read_manifest(models).files()}
    for name in sorted({NAME, SEAL} | named):
        yield _File(f"models/{name}", (models / name).read_bytes())
    for path in sorted((HERE / "units").iterdir()):
        yield _File(f"units/{path.name}", path.read_bytes())
    found = sorted(wheels.glob("*.whl"))
    if not found:
        raise InputError("holds no wheels", file=wheels, fix="give the folder that pip downloaded into")
    for path in found:
        project, release, _ = path.name.split("-", 2)
        yield _File(f"wheels/{project}-{release}.whl", path.read_bytes())


def _time() -> int:
    text = os.environ.get("SOURCE_DATE_EPOCH", str(TIME))
    if not text.isdigit() or len(text) > 10:
        raise InputError(f"{text!r} is no time", field="SOURCE_DATE_EPOCH", fix="give seconds since 1970")
    return int(text)
