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

from flightsw.runtime.link.framing import Framer
from flightsw.runtime.link.telemetry import decode_telemetry
from groundtools.flash.bundle import make_bundle
from groundtools.flash.image import ID, make_image
from groundtools.link.client import new_keys, write_keys

MODELS = Path(__file__).parents[3] / "models"
MODULES = ("virtio_pci", "virtio_blk", "squashfs", "crc32c_generic", "ext4")
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
{then}
"""
SELFTEST = """run="/bin/busybox chroot /root /opt/vinsat/current/bin/flightsw selftest"
/bin/busybox mount -t sysfs sys /root/sys
echo "BEGIN short"; $run; echo "END $?"
echo "BEGIN models"; $run --models /opt/vinsat/current/models; echo "END $?"
/bin/busybox poweroff -f
"""
# The root's own service manager takes over; one unit more waits for the payload, listens to
# it as a ground would, and powers off.
SERVICE = """units=/root/run/systemd/system
/bin/busybox mount -t tmpfs -o mode=755 run /root/run
/bin/busybox mkdir -p $units/multi-user.target.wants
/bin/busybox cp /check.service $units/check.service
/bin/busybox cp /check.py /root/run/check.py
/bin/busybox ln -s /dev/null $units/serial-getty@ttyAMA0.service
/bin/busybox ln -s ../check.service $units/multi-user.target.wants/check.service
/bin/busybox sed s:/dev/mmcblk0p3:/dev/vdb: /root/etc/fstab > /root/run/fstab
/bin/busybox mount --bind /root/run/fstab /root/etc/fstab
/bin/busybox umount /proc /sys /root/proc
exec /bin/busybox switch_root /root /sbin/init
"""
CHECK_SERVICE = """[Unit]
After=vinsat.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyAMA0
ExecStart=/usr/bin/python3 /run/check.py
ExecStopPost=/bin/systemctl --no-block poweroff
"""
CHECK = """
import socket, subprocess, time
show = ["systemctl", "show", "vinsat.service", "-p", "ActiveState", "-p", "NRestarts", "-p", "StatusText"]
print("BEGIN service")
print(subprocess.run(show, capture_output=True, text=True).stdout)
pid = subprocess.run([*show[:3], "-p", "MainPID", "--value"], capture_output=True, text=True).stdout.strip()
print(*(line for line in open("/proc/mounts") if "/data" in line or "vinsat" in line))
print("user", next(x for x in open(f"/proc/{pid}/status") if x.startswith("Uid:")).split()[1])
end, heard = time.monotonic() + 15.0, b""
with socket.create_connection(("127.0.0.1", 7070), timeout=15.0) as link:
    while time.monotonic() < end:
        heard += link.recv(4096)
print("telemetry", heard.hex())
print("END service", flush=True)
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


def start_of(kernel: Path, folder: Path, then: str) -> Path:
    """Write the first root (a cpio archive): busybox, modules, and what to do then."""
    stage = folder / "start"
    (stage / "modules").mkdir(parents=True)
    (stage / "bin").mkdir()
    shutil.copy(next(kernel.glob("**/bin/busybox")), stage / "bin" / "busybox")
    modules = modules_of(kernel)
    for path in modules:
        shutil.copy(path, stage / "modules" / path.name)
    (stage / "init").write_text(
        INIT.format(modules=" ".join(path.name for path in modules), then=then), encoding="ascii"
    )
    (stage / "check.service").write_text(CHECK_SERVICE, encoding="ascii")
    (stage / "check.py").write_text(CHECK, encoding="ascii")
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


def boot(kernel: Path, squashfs: Path, folder: Path, then: str, data: Path | None = None) -> str:
    """Return what the emulated computer said until it powered off. data : its data partition."""
    folder.mkdir(exist_ok=True)
    said = folder / "said"
    command = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-m", "1024", "-nographic"]
    command += ["-no-reboot", "-kernel", str(next(kernel.glob("boot/vmlinuz-*")))]
    command += [
        "-initrd",
        str(start_of(kernel, folder, then)),
        "-append",
        "console=ttyAMA0 panic=-1 quiet systemd.show_status=1",
    ]
    command += ["-drive", f"file={squashfs},format=raw,if=virtio,readonly=on", "-nic", "none"]
    if data is not None:
        command += ["-drive", f"file={data},format=raw,if=virtio"]
    with open(said, "wb") as file:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, check=False, timeout=WAIT_S)
    assert done.returncode == 0
    return said.read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return the unpacked kernel and an image, made here unless VINSAT_ARM64_IMAGE names one."""
    root, kernel = (Path(os.environ.get(f"VINSAT_ARM64_{name}", "/nowhere")) for name in ("ROOT", "KERNEL"))
    if not root.is_dir() or not kernel.is_dir() or shutil.which("qemu-system-aarch64") is None:
        pytest.skip("needs VINSAT_ARM64_ROOT, VINSAT_ARM64_KERNEL and qemu-system-aarch64")
    folder = tmp_path_factory.mktemp("image")
    made = os.environ.get("VINSAT_ARM64_IMAGE")
    if made is None:
        wheels = os.environ.get("VINSAT_ARM64_WHEELS")
        bundle = make_bundle(folder, models=MODELS, wheels=Path(wheels) if wheels else None)
        write_keys(folder / "keys", new_keys())
        made = make_image(root, bundle, folder / "image", trusted=None, keys=folder / "keys")[0]
    return kernel, Path(made)


@pytest.mark.slow
@pytest.mark.verifies("PAY-050")
def test_the_image_boots_tests_itself_and_powers_off(prepared, tmp_path):
    said = boot(*prepared, tmp_path, SELFTEST)
    print(said)  # noqa: T201
    assert "the root is not read-only" not in said
    for name in ("short", "models"):
        found = re.search(rf"BEGIN {name}\s(.*?)END (\d+)", said, re.DOTALL)
        assert found is not None
        assert found[2] == "0"
        assert "ok   estimate" in found[1]
    assert "ok   frame florida" in found[1]


def first_housekeeping(said: str) -> dict:
    """Return what the payload told, which its service manager must have found well."""
    print(said)  # noqa: T201
    found = re.search(r"BEGIN service\s(.*?)END service", said, re.DOTALL)
    assert found is not None
    assert "ActiveState=active" in found[1]
    assert f"user {ID}" in found[1]
    frames = Framer().feed(bytes.fromhex(re.search(r"telemetry ([0-9a-f]+)", found[1])[1]))
    packets = [packet for packet in map(decode_telemetry, frames) if packet is not None]
    return next(values for entry, _, _, values in packets if entry.name == "HOUSEKEEPING")


@pytest.mark.slow
@pytest.mark.verifies("PAY-050")
def test_the_images_service_manager_starts_the_payload_without_a_data_partition(prepared, tmp_path):
    assert first_housekeeping(boot(*prepared, tmp_path, SERVICE))["boot"] == 1


@pytest.mark.slow
@pytest.mark.verifies("PAY-050")
def test_the_data_partition_is_made_at_the_first_start_and_remembers_at_the_second(prepared, tmp_path):
    data = tmp_path / "data"
    data.touch()
    os.truncate(data, 256_000_000)
    for number in (1, 2):
        said = boot(*prepared, tmp_path / str(number), SERVICE, data)
        assert first_housekeeping(said)["boot"] == number
        assert "/dev/vdb /var/lib/vinsat ext4" in said or "/dev/vdb /data ext4" in said
