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
from groundtools.flash.archive import BundleError
from groundtools.flash.bundle import TIME
from groundtools.flash.install import ENABLED, UNITS, install

SQUASHFS, TABLE = "root.squashfs", "partitions.sfdisk"
PARTITIONS = """# sfdisk DEVICE < partitions.sfdisk
label: dos
unit: sectors
start=2048, size=1048576, type=c, bootable
start=1050624, size=8388608, type=83
start=9439232, type=83
"""
FSTAB = """# boot and root are read-only; what is written lives on the third partition or in memory
/dev/mmcblk0p1 /boot/firmware vfat ro,nodev,nosuid,noexec 0 2
/dev/mmcblk0p2 / squashfs ro 0 0
/dev/mmcblk0p3 /data ext4 rw,nodev,nosuid,noatime,commit=5,errors=remount-ro 0 2
/data/lib/vinsat /var/lib/vinsat none bind,nofail 0 0
tmpfs /tmp tmpfs nodev,nosuid,size=32M 0 0
tmpfs /var/tmp tmpfs nodev,nosuid,size=32M 0 0
tmpfs /var/log tmpfs nodev,nosuid,noexec,size=16M 0 0
"""


def make_image(rootfs: Path, bundle: Path, out: Path, *, trusted: Path | None) -> list[Path]:
    """Write root.squashfs and partitions.sfdisk; return their paths. Raises InputError.

    Two runs give the same bytes (SOURCE_DATE_EPOCH, or a fixed day, is the time of all).
    """
    if not (rootfs / "etc").is_dir():
        raise InputError("is no root file system", file=rootfs, fix="make one: debootstrap --arch arm64 ...")
    if shutil.which("mksquashfs") is None:
        raise InputError("is not installed", file="mksquashfs", fix="sudo apt install squashfs-tools")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        stage = Path(scratch) / "root"
        subprocess.run(["cp", "-a", str(rootfs), str(stage)], check=True)
        try:
            install(bundle, stage, trusted=trusted)
        except BundleError as error:
            raise InputError(str(error), file=bundle) from None
        _finish(stage)
        squashfs = out / SQUASHFS
        part = Path(scratch) / SQUASHFS
        _squash(stage, part)
        os.replace(part, squashfs)
    (out / TABLE).write_text(PARTITIONS, encoding="ascii")
    return [squashfs, out / TABLE]


def _finish(stage: Path) -> None:
    """Make the root one that is never written to."""
    (stage / "etc" / "fstab").write_text(FSTAB, encoding="ascii")
    wants = {"vinsat.service": "multi-user.target.wants", "vinsat-rollback.path": "multi-user.target.wants"}
    for unit in ENABLED:
        folder = stage / UNITS / wants[unit]
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / unit
        link.unlink(missing_ok=True)
        link.symlink_to(f"/{UNITS}/{unit}")
    for name in ("data", "boot/firmware"):
        (stage / name).mkdir(parents=True, exist_ok=True)


def _squash(stage: Path, target: Path) -> None:
    time = os.environ.get("SOURCE_DATE_EPOCH", str(TIME))
    command = ["mksquashfs", str(stage), str(target), "-noappend", "-quiet", "-no-progress", "-comp", "zstd"]
    command += [
        "-Xcompression-level",
        "6",
        "-processors",
        "1",
        "-no-xattrs",
        "-all-time",
        time,
        "-root-time",
        time,
    ]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    done = subprocess.run([*command, "-mkfs-time", time], env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise InputError(f"failed: {said[:200]}", file="mksquashfs")
