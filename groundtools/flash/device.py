"""Writing an image to an SD card, and to nothing else by mistake."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from flightsw.errors import InputError, UsageError

PIECE = 4 << 20
MAX_DEVICE = 2_000_000_000_000  # bytes: no SD card is larger
SYS_BLOCK = Path("/sys/class/block")


def write_image(target: Path, image: Path, *, ask: Callable[[str], str] | None) -> None:
    """Write an image to a block device, read it back, compare.

    ask : puts a question and returns the answer; None does not ask. Raises UsageError for
    what must not be written to, or a "no"; InputError where what is read back differs.
    """
    if not image.is_file():
        raise InputError("is no image", file=image, fix="give the file to write")
    size = check_device(target, needed=image.stat().st_size)
    if ask is not None:
        answer = ask(f"{target} ({size / 1e9:.1f} GB) will be erased. Type its name to go on: ")
        if answer.strip() != str(target):
            raise UsageError(f"{target}: not confirmed, nothing was written")
    try:
        copy_and_compare(image, target)
    except OSError as error:
        raise InputError(f"cannot be written to ({error.strerror})", file=target) from None


def check_device(target: Path, *, needed: int) -> int:
    """Return a device's size, bytes. Raises UsageError where it must not be written to."""
    try:
        status = os.stat(target)
    except OSError as error:
        raise UsageError(
            f"{target}: {(error.strerror or '').lower()}; give a device such as /dev/sdb"
        ) from None
    if not stat.S_ISBLK(status.st_mode):
        raise UsageError(f"{target}: is no block device; give one such as /dev/sdb")
    real = Path(os.path.realpath(target))
    name = real.name
    if (SYS_BLOCK / name / "partition").exists():
        raise UsageError(f"{target}: is a partition; give the whole device")
    names = {name, *(path.name for path in (SYS_BLOCK / name).glob(f"{name}*"))}
    used = names & in_use(Path("/proc/mounts"), Path("/proc/swaps"))
    if used:
        raise UsageError(
            f"{target}: {sorted(used)[0]} is mounted or swapped to; unmount it, or it is the wrong one"
        )
    holders = [holder for one in names for holder in (SYS_BLOCK / one / "holders").glob("*")]
    if holders:
        raise UsageError(f"{target}: is part of {holders[0].name}; that is no card")
    size = int((SYS_BLOCK / name / "size").read_text(encoding="ascii")) * 512
    if not needed <= size <= MAX_DEVICE:
        raise UsageError(
            f"{target}: has {size / 1e9:.2f} GB, the image {needed / 1e9:.2f} GB; is it the right one?"
        )
    return size


def in_use(mounts: Path, swaps: Path) -> set[str]:
    """Return the names of devices that are mounted or swapped to, the root's included."""
    names = set()
    for path in (mounts, swaps):
        for line in path.read_text(encoding="utf-8").splitlines():
            word = line.split(" ")[0].split("\t")[0]
            if word.startswith("/dev/"):
                names.add(Path(os.path.realpath(word)).name)
    root = os.stat("/").st_dev
    link = Path(f"/sys/dev/block/{os.major(root)}:{os.minor(root)}")
    if link.exists():
        names.add(Path(os.path.realpath(link)).name)
    return names


def copy_and_compare(image: Path, target: Path) -> None:
    """Copy, sync, drop what is cached, read back. Raises InputError where it differs."""
    with open(image, "rb") as source, open(target, "r+b") as sink:
        while piece := source.read(PIECE):
            sink.write(piece)
        sink.flush()
        os.fsync(sink.fileno())
        os.posix_fadvise(sink.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        source.seek(0)
        sink.seek(0)
        while piece := source.read(PIECE):
            if sink.read(len(piece)) != piece:
                raise InputError("does not read back what was written", file=target, fix="use another card")
