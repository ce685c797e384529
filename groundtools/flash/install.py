"""Put a bundle onto a payload computer, go back to the one before, say what is there.

Standard library alone: this file travels in the bundle, beside archive.py, and runs on the
target: `python3 install.py install BUNDLE [--root /] [--key trusted.pem]`.

    /opt/vinsat/releases/ID/   one release each: app/, lib/ (wheels unpacked), models/, bin/, units/
    /opt/vinsat/current        link to the release in use: switching is one rename
    /opt/vinsat/previous       link to the one before
    /opt/vinsat/trusted.pem    the key that releases must be signed with, from the first install
    /etc/vinsat/               payload.toml, camera.toml, keys: made once, never overwritten
    /var/lib/vinsat/           all that the payload writes

A power cut at any step leaves `current` on a whole release, old or new: a release is made
beside the others under a temporary name, synced, and renamed when it is whole.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

try:  # in the bundle the two files lie side by side
    from archive import KEY, MANIFEST, BundleError, Info, content_of, read_bundle
except ImportError:
    from groundtools.flash.archive import KEY, MANIFEST, BundleError, Info, content_of, read_bundle

BASE, CONFIG, STATE = "opt/vinsat", "etc/vinsat", "var/lib/vinsat"
KEPT = 3  # releases
MACHINE = "aarch64"
UNITS = "etc/systemd/system"
PLACES = {  # of units/ that are no units
    "system-vinsat.conf": "etc/systemd/system.conf.d/vinsat.conf",
    "journald-vinsat.conf": "etc/systemd/journald.conf.d/vinsat.conf",
    "sysusers-vinsat.conf": "etc/sysusers.d/vinsat.conf",
}
ENABLED = ("vinsat.service", "vinsat-rollback.path")
EXIT_OK, EXIT_USAGE, EXIT_INPUT = 0, 2, 3


def step(what: str) -> None:
    """Mark a step: tests cut the power here."""


def install(bundle: Path, root: Path, *, trusted: Path | None, allow_downgrade: bool = False) -> str:
    """Install a bundle and switch to it; return the release's id. Again is no change.

    Raises BundleError: not whole, not signed by the trusted key, older than what is there.
    """
    base = root / BASE
    pinned = base / "trusted.pem"
    trusted = pinned if pinned.exists() else trusted
    info, members, _ = read_bundle(bundle, trusted=trusted)
    if root == Path("/"):
        refuse_foreign(info)
    release = release_id(info, [m.sha256 for m, _ in members])
    _refuse_downgrade(base, info, allow_downgrade=allow_downgrade)
    releases = base / "releases"
    releases.mkdir(parents=True, exist_ok=True)
    target = releases / release
    if not target.exists():
        part = releases / f".{release}.part"
        shutil.rmtree(part, ignore_errors=True)
        for member, offset in members:
            step(f"unpack {member.name}")
            _unpack(part, member.name, member.mode, content_of(bundle, member, offset))
        (part / "version").write_text(info.version + "\n", encoding="ascii")
        step("byte code")
        compile_tree(part, info.python)
        sync_tree(part)
        step("rename release")
        os.replace(part, target)
        sync_folder(releases)
    step("pin key")
    if not pinned.exists():
        write_whole(pinned, (target / KEY).read_bytes())
    _first_files(target, root)
    _units(target, root)
    switch(base, release)
    _forget_old(base)
    return release


def roll_back(root: Path) -> str:
    """Use the previous release again; return its id. Raises BundleError where there is none."""
    base = root / BASE
    previous = linked(base / "previous")
    if previous is None or not (base / "releases" / previous).is_dir():
        raise BundleError("previous", "there is no release to go back to")
    _units(base / "releases" / previous, root)
    switch(base, previous)
    return previous


def switch(base: Path, release: str) -> None:
    """Make a release the one in use; the one before stays known."""
    current = linked(base / "current")
    if current == release:
        return
    if current is not None:
        step("link previous")
        link(base / "previous", f"releases/{current}")
    step("link current")
    link(base / "current", f"releases/{release}")
    step("switched")


def status(root: Path) -> dict[str, str | None]:
    """Return the ids in use and before."""
    base = root / BASE
    return {"current": linked(base / "current"), "previous": linked(base / "previous")}


def release_id(info: Info, hashes: list[str]) -> str:
    """Return a name that is the same for the same content."""
    return f"{info.version}-{hashlib.sha256(''.join(hashes).encode()).hexdigest()[:12]}"


def linked(path: Path) -> str | None:
    """Return the release a link leads to."""
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return None


def link(path: Path, to: str) -> None:
    """Point a link elsewhere in one rename."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    os.symlink(to, fresh)
    step(f"rename {path.name}")
    os.replace(fresh, path)
    sync_folder(path.parent)


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file aside, sync it, rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(fresh, mode)
    step(f"rename {path.name}")
    os.replace(fresh, path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Return when a folder's entries are on the medium."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def sync_tree(path: Path) -> None:
    """Return when all files and folders below are on the medium."""
    for folder, _, files in os.walk(path):
        for name in files:
            handle = os.open(os.path.join(folder, name), os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
        sync_folder(Path(folder))


def _unpack(part: Path, name: str, mode: int, content: Iterator[bytes]) -> None:
    """Write a member; a wheel is unpacked into lib/, which is all that installing one is here."""
    path = part / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for piece in content:
            file.write(piece)
    os.chmod(path, mode)
    if name.startswith("wheels/"):
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(part / "lib")
        path.unlink()


def compile_tree(part: Path, tag: str) -> None:
    """Compile a release's modules once, for at run time nothing may be written there.

    tag : of the Python that will run it, e.g. cp311. Where it is not at hand (an image made
    elsewhere) there is no byte code, and every start compiles for itself. Byte code holds
    the final path, and no time: the same release gives the same bytes.
    """
    name = f"python{tag[2:3]}.{tag[3:]}"
    python = sys.executable if tag == own_tag() else shutil.which(name)
    folders = [str(part / name) for name in ("app", "lib") if (part / name).is_dir()]
    if python is None or not folders:
        return
    command = [python, "-P", "-s", "-m", "compileall", "-qq", "-x", "/tests/", "--invalidation-mode"]
    command += ["unchecked-hash", "-s", str(part), "-p", f"/{BASE}/current", *folders]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run(command, env=clean | {"PYTHONHASHSEED": "0"}, capture_output=True, check=False)


def refuse_foreign(info: Info) -> None:
    """Refuse a bundle whose wheels this computer cannot run. Raises BundleError."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if info.python != own_tag():
        fix = f"make it for this one: vinsat flash bundle --python {version}"
        raise BundleError(MANIFEST, f"is for {info.python}, and Python here is {version}; {fix}")
    machine = os.uname().machine
    if machine != MACHINE or sys.maxsize < 2**32:
        raise BundleError(MANIFEST, f"is for {MACHINE}, and this is {machine}: use a 64-bit system")


def own_tag() -> str:
    """Return what wheels call this Python."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


def _refuse_downgrade(base: Path, info: Info, *, allow_downgrade: bool) -> None:
    current = base / "current" / "version"
    there = current.read_text(encoding="ascii").strip() if current.exists() else ""
    if there and not allow_downgrade and order(info.version) < order(there):
        raise BundleError("manifest.sha256", f"version {info.version} is older than {there}, which is in use")


def order(version: str) -> tuple[int, ...]:
    """Return what versions are compared by: their numbers."""
    return tuple(int(part) for part in version.replace("+", ".").split(".") if part.isdigit())


def _first_files(target: Path, root: Path) -> None:
    """Make configuration where there is none yet; what is there belongs to its owner."""
    for source in sorted((target / "config").iterdir()):
        path = root / CONFIG / source.name
        if not path.exists():
            write_whole(path, source.read_bytes(), 0o600 if source.name == "keys" else 0o644)
    second = root / STATE / "models"  # a copy to mend from, and to uplink to
    if not second.exists():
        part = second.with_name(".models.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(target / "models", part)
        sync_tree(part)
        step("rename models")
        os.replace(part, second)
        sync_folder(second.parent)


def _units(target: Path, root: Path) -> None:
    for source in sorted((target / "units").iterdir()):
        path = root / PLACES.get(source.name, f"{UNITS}/{source.name}")
        if not path.exists() or path.read_bytes() != source.read_bytes():
            write_whole(path, source.read_bytes())


def activate() -> None:
    """Have the running system take note: the user, the owners, the units."""
    commands = [
        ["systemd-sysusers"],
        ["chown", "-R", "vinsat:vinsat", f"/{STATE}"],
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", *ENABLED],
        ["systemctl", "--no-block", "restart", *ENABLED],
    ]
    if os.path.exists(f"/{CONFIG}/keys"):
        commands.insert(2, ["chown", "vinsat:vinsat", f"/{CONFIG}/keys"])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BundleError("system", f"{' '.join(command)}: {done.stderr.strip()}")


def _forget_old(base: Path) -> None:
    """Remove releases beyond the newest few, never one that a link leads to."""
    wanted = {linked(base / "current"), linked(base / "previous")}
    found = [p for p in (base / "releases").iterdir() if p.is_dir() and p.name not in wanted]
    found.sort(key=lambda path: path.stat().st_mtime)
    keep = max(KEPT - len(wanted), 0)
    for path in found[: len(found) - keep]:
        step(f"remove {path.name}")
        shutil.rmtree(path, ignore_errors=True)


def main(argv: list[str] | None = None) -> int:
    """Run the command line on the target."""
    parser = argparse.ArgumentParser(prog="install.py", description="Install or go back.")
    parser.add_argument("what", choices=["install", "roll-back", "status"])
    parser.add_argument("bundle", nargs="?", type=Path)
    parser.add_argument("--root", type=Path, default=Path("/"))
    parser.add_argument("--key", type=Path, help="public key to trust at the first install")
    parser.add_argument("--allow-downgrade", action="store_true")
    arguments = parser.parse_args(argv)
    try:
        if arguments.what == "status":
            for name, release in status(arguments.root).items():
                print(f"{name} {release}")  # noqa: T201
        elif arguments.what == "roll-back":
            print(f"current {roll_back(arguments.root)}")  # noqa: T201
        elif arguments.bundle is None:
            parser.error("install needs a bundle")
        else:
            release = install(
                arguments.bundle,
                arguments.root,
                trusted=arguments.key,
                allow_downgrade=arguments.allow_downgrade,
            )
            if arguments.root == Path("/"):
                activate()
            print(f"current {release}")  # noqa: T201
    except (BundleError, OSError) as error:
        sys.stderr.write(f"install: {error}\n")
        return EXIT_INPUT
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
