"""A read-only root with the payload in it, as squashfs, and the card it belongs on.

The root file system is anybody's Debian arm64 (debootstrap, or a copy of a running one).
The boot partition with its firmware is the board's own and is not made here.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from flightsw.errors import InputError
from flightsw.files import prepare_folder, read_bytes
from groundtools.flash.archive import BundleError
from groundtools.flash.bundle import TIME
from groundtools.flash.install import ENABLED, STATE, UNITS, install, write_whole
from groundtools.flash.signing import MAX_KEY

SQUASHFS, TABLE = "root.squashfs", "partitions.sfdisk"
PARTITIONS = """# sfdisk DEVICE < partitions.sfdisk
label: dos
unit: sectors
start=2048, size=1048576, type=c, bootable
start=1050624, size=8388608, type=83
start=9439232, type=83
"""
DATA_OPTIONS = (
    "rw,nodev,nosuid,noatime,commit=5,errors=remount-ro,nofail,x-systemd.makefs,x-systemd.device-timeout=20"
)
FSTAB = f"""# boot and root are read-only; what is written lives on the third partition or in memory.
# That partition is formatted at the first start; without it the payload flies in memory.
/dev/mmcblk0p1 /boot/firmware vfat ro,nodev,nosuid,noexec,nofail,x-systemd.device-timeout=20 0 2
/dev/mmcblk0p2 / squashfs ro 0 0
/dev/mmcblk0p3 /data ext4 {DATA_OPTIONS} 0 2
tmpfs /var/lib/vinsat tmpfs nodev,nosuid,noexec,mode=0750,size=64M 0 0
tmpfs /tmp tmpfs nodev,nosuid,size=32M 0 0
tmpfs /var/tmp tmpfs nodev,nosuid,size=32M 0 0
tmpfs /var/log tmpfs nodev,nosuid,noexec,size=16M 0 0
"""
ID = 990  # of the user and the group that the payload runs as
ACCOUNT = {
    "passwd": f"vinsat:x:{ID}:{ID}:vinsat payload:/var/lib/vinsat:/usr/sbin/nologin\n",
    "group": f"vinsat:x:{ID}:\n",
    "shadow": "vinsat:!*:1::::::\n",
}
DATA = {  # the payload sees the data partition's folder where there is one, else memory
    "etc/tmpfiles.d/vinsat.conf": "d /data/vinsat 0750 vinsat vinsat -\n",
    # `nofail` lets everything else run ahead of the mount, also what makes the folder on it
    "etc/systemd/system/systemd-tmpfiles-setup.service.d/data.conf": "[Unit]\nAfter=data.mount\n",
    "etc/systemd/system/vinsat.service.d/data.conf": (
        "[Unit]\nAfter=data.mount systemd-tmpfiles-setup.service\n"
        "[Service]\nBindPaths=-/data/vinsat:/var/lib/vinsat\n"
    ),
}
KEYS = "etc/vinsat/keys"
NEEDED = {  # of the root file system, and the package it comes from
    "sbin/init": "systemd-sysv",
    "lib/systemd/systemd-udevd": "udev",  # else the data partition is never found
    "sbin/mkfs.ext4": "e2fsprogs",
    "usr/bin/python3": "python3",
}


def make_image(
    rootfs: Path, bundle: Path, out: Path, *, trusted: Path | None, keys: Path | None = None
) -> list[Path]:
    """Write root.squashfs and partitions.sfdisk; return their paths. Raises InputError.

    keys : command keys of the payload, else those in the root file system, without which it
    does not start. Two runs give the same bytes (SOURCE_DATE_EPOCH, or a fixed day, is the
    time of all).
    """
    if not (rootfs / "etc").is_dir():
        raise InputError("is no root file system", file=rootfs, fix="make one: debootstrap --arch arm64 ...")
    for name, package in NEEDED.items():
        if not os.path.lexists(rootfs / name):
            raise InputError(f"has no {name}", file=rootfs, fix=f"install the package {package} in it")
    if shutil.which("mksquashfs") is None:
        raise InputError("is not installed", file="mksquashfs", fix="sudo apt install squashfs-tools")
    prepare_folder(out)
    content = b"" if keys is None else read_bytes(keys, max_bytes=MAX_KEY)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        stage = Path(scratch) / "root"
        _copy(rootfs, stage)
        try:
            install(bundle, stage, trusted=trusted)
        except BundleError as error:
            raise InputError(str(error), file=bundle) from None
        except OSError as error:
            raise InputError(f"cannot be installed ({error})", file=bundle) from None
        if keys is not None:
            write_whole(stage / KEYS, content, 0o600)
        _finish(stage)
        squashfs = out / SQUASHFS
        part = Path(scratch) / SQUASHFS
        _squash(stage, part)
        os.replace(part, squashfs)
    (out / TABLE).write_text(PARTITIONS, encoding="ascii")
    return [squashfs, out / TABLE]


def _copy(rootfs: Path, stage: Path) -> None:
    """Copy a root file system with its owners. Raises InputError."""
    fix = "run this as the owner of its files: sudo .venv/bin/vinsat flash image ..."
    if os.geteuid() not in (0, (rootfs / "etc").stat().st_uid):  # its owners would be lost
        raise InputError("belongs to another user", file=rootfs, fix=fix)
    done = subprocess.run(["cp", "-a", str(rootfs), str(stage)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()[:1] or ["cp said nothing"]
        raise InputError(f"cannot be copied ({words[0][:200]})", file=rootfs, fix=fix)


def _finish(stage: Path) -> None:
    """Make the root one that is never written to."""
    (stage / "etc" / "fstab").write_text(FSTAB, encoding="ascii")
    (stage / "etc" / "machine-id").write_text("", encoding="ascii")  # one for each start
    for name, line in ACCOUNT.items():
        _add_account(stage, name, line)
    for name, text in DATA.items():
        write_whole(stage / name, text.encode())
    wants = {"vinsat.service": "multi-user.target.wants", "vinsat-rollback.path": "multi-user.target.wants"}
    for unit in ENABLED:
        folder = stage / UNITS / wants[unit]
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / unit
        link.unlink(missing_ok=True)
        link.symlink_to(f"/{UNITS}/{unit}")
    shutil.rmtree(stage / STATE)  # under what is mounted there it would never be seen
    for name in ("data", "boot/firmware", STATE):
        (stage / name).mkdir(parents=True, exist_ok=True)


def _add_account(stage: Path, name: str, line: str) -> None:
    """Add the payload's user to an account file: nothing can make one on a read-only root."""
    path, master = stage / "etc" / name, stage / "usr/share/base-passwd" / f"{name}.master"
    source = path if path.exists() else master
    text = source.read_text(encoding="utf-8") if source.exists() else ""
    kept = [one for one in text.splitlines(keepends=True) if not one.startswith("vinsat:")]
    if any(f":{ID}:" in one for one in kept if name != "shadow"):
        raise InputError(f"has the number {ID}, which is the payload's", file=path, fix="give it another")
    write_whole(path, ("".join(kept) + line).encode(), 0o640 if name == "shadow" else 0o644)


def _squash(stage: Path, target: Path) -> None:
    time = os.environ.get("SOURCE_DATE_EPOCH", str(TIME))
    command = ["mksquashfs", str(stage), str(target), "-noappend", "-quiet", "-no-progress", "-comp", "zstd"]
    command += ["-Xcompression-level", "6", "-processors", "1", "-no-xattrs"]
    command += ["-all-time", time, "-root-time", time]
    if (stage / KEYS).exists():
        command += ["-p", f"{KEYS} m 600 {ID} {ID}"]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    done = subprocess.run([*command, "-mkfs-time", time], env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise InputError(f"failed: {said[:200]}", file="mksquashfs")
