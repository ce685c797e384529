"""The image boots on an emulated 64-bit ARM computer, tests itself and powers off.

Slow, and needs qemu-system-aarch64, mksquashfs and two folders: VINSAT_ARM64_ROOT, a Debian
arm64 root with python3 (as for test_aarch64.py), and VINSAT_ARM64_KERNEL, into which the
Debian packages linux-image-*-cloud-arm64 and busybox-static (arm64) are unpacked by
`dpkg-deb -x`. The start is a small one of our own (busybox), the root the image's squashfs.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from groundtools.flash.bundle import make_bundle
from groundtools.flash.image import make_image

MODELS = Path(__file__).parents[3] / "models"
MODULES = ("virtio_pci", "virtio_blk", "squashfs")
WAIT_S = float(os.environ.get("VINSAT_BOOT_S", "3600"))
INIT = """#!/bin/busybox sh
export PATH=/bin:/usr/bin
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in {modules}; do /bin/busybox insmod /modules/$module; done
/bin/busybox sleep 1
/bin/busybox mount -t squashfs -o ro /dev/vda /root || echo no root
/bin/busybox mount -t proc proc /root/proc
/bin/busybox mount -t devtmpfs dev /root/dev
/bin/busybox mount -t tmpfs tmp /root/tmp
/bin/busybox touch /root/opt/writable 2>/dev/null && echo the root is not read-only
run="/bin/busybox chroot /root /opt/vinsat/current/bin/flightsw selftest"
echo "BEGIN short"; $run; echo "END $?"
echo "BEGIN models"; $run --models /opt/vinsat/current/models; echo "END $?"
/bin/busybox poweroff -f
"""


def modules_of(kernel: Path) -> list[Path]:
    """Return the modules needed for the root, those they depend on (their own word) first."""
    files = {path.stem: path for path in kernel.glob("lib/modules/*/kernel/**/*.ko")}
    ordered: list[Path] = []

    def add(name: str) -> None:
        path = files.get(name)
        if path is None or path in ordered:
            return
        needs = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        for one in needs[1].decode().split(",") if needs else []:
            add(one)
        ordered.append(path)

    for name in MODULES:
        add(name)
    return ordered


def start_of(kernel: Path, folder: Path) -> Path:
    """Write the first root (a cpio archive): busybox, modules, and what to do."""
    stage = folder / "start"
    (stage / "modules").mkdir(parents=True)
    (stage / "bin").mkdir()
    shutil.copy(next(kernel.glob("**/bin/busybox")), stage / "bin" / "busybox")
    modules = modules_of(kernel)
    for path in modules:
        shutil.copy(path, stage / "modules" / path.name)
    (stage / "init").write_text(
        INIT.format(modules=" ".join(path.name for path in modules)), encoding="ascii"
    )
    (stage / "init").chmod(0o755)
    (stage / "bin" / "busybox").chmod(0o755)
    archive = folder / "start.cpio"
    archive.write_bytes(cpio(stage))
    return archive


def cpio(stage: Path) -> bytes:
    """Return a folder as a "newc" archive, the form a kernel unpacks."""
    out = bytearray()

    def member(name: str, mode: int, data: bytes, inode: int) -> None:
        numbers = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out.extend(b"070701" + "".join(f"{n:08X}" for n in numbers).encode() + name.encode() + b"\0")
        out.extend(bytes(-len(out) % 4) + data)
        out.extend(bytes(-len(out) % 4))

    for inode, path in enumerate(sorted(stage.rglob("*")), start=1):
        data = path.read_bytes() if path.is_file() else b""
        member(str(path.relative_to(stage)), path.stat().st_mode, data, inode)
    member("TRAILER!!!", 0, b"", 0)
    return bytes(out)


def boot(kernel: Path, squashfs: Path, folder: Path) -> str:
    """Return what the emulated computer said until it powered off."""
    said = folder / "said"
    command = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-m", "1024", "-nographic"]
    command += ["-no-reboot", "-kernel", str(next(kernel.glob("boot/vmlinuz-*")))]
    command += ["-initrd", str(start_of(kernel, folder)), "-append", "console=ttyAMA0 panic=-1 quiet"]
    command += ["-drive", f"file={squashfs},format=raw,if=virtio,readonly=on", "-nic", "none"]
    with open(said, "wb") as file:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, check=False, timeout=WAIT_S)
    assert done.returncode == 0
    return said.read_text(encoding="utf-8", errors="replace")


@pytest.mark.slow
@pytest.mark.verifies("PAY-050")
def test_the_image_boots_tests_itself_and_powers_off(tmp_path):
    root, kernel = (Path(os.environ.get(f"VINSAT_ARM64_{name}", "/nowhere")) for name in ("ROOT", "KERNEL"))
    if not root.is_dir() or not kernel.is_dir() or shutil.which("qemu-system-aarch64") is None:
        pytest.skip("needs VINSAT_ARM64_ROOT, VINSAT_ARM64_KERNEL and qemu-system-aarch64")
    image = os.environ.get("VINSAT_ARM64_IMAGE")  # one that is made already
    if image is None:
        wheels = os.environ.get("VINSAT_ARM64_WHEELS")
        bundle = make_bundle(tmp_path, models=MODELS, wheels=Path(wheels) if wheels else None)
        image = str(make_image(root, bundle, tmp_path / "image", trusted=None)[0])
    said = boot(kernel, Path(image), tmp_path)
    print(said)  # noqa: T201
    assert "the root is not read-only" not in said
    for name in ("short", "models"):
        found = re.search(rf"BEGIN {name}\s(.*?)END (\d+)", said, re.DOTALL)
        assert found is not None
        assert found[2] == "0"
        assert "ok   estimate" in found[1]
    assert "ok   frame florida" in found[1]
