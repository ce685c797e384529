"""Installing: atomic whatever happens, idempotent, never backwards unless told to."""

import getpass
import marshal
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flightsw.errors import InputError, UsageError
from flightsw.vision.models import verify_models
from groundtools.flash import bundle as bundle_module
from groundtools.flash import device, image, install, remote
from groundtools.flash.archive import BundleError, read_bundle
from groundtools.link.client import new_keys, write_keys


class PowerCut(BaseException):
    """The end of everything, at one step."""


def cut_at(monkeypatch, number: int) -> list[str]:
    """Cut the power at a step; return the list that names the steps met."""
    met: list[str] = []

    def step(what):
        met.append(what)
        if len(met) == number:
            raise PowerCut

    monkeypatch.setattr(install, "step", step)
    return met


@pytest.fixture(scope="module")
def newer(tmp_path_factory, models, wheels):
    """Return a bundle of a later version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle_module, "version", lambda name: "9.9.9")
        return bundle_module.make_bundle(tmp_path_factory.mktemp("newer"), models=models, wheels=wheels)


def is_whole(root: Path) -> str | None:
    """Return the release in use if it is whole, None where there is none."""
    current = root / "opt/vinsat/current"
    if not current.exists():
        assert not current.is_symlink()
        return None
    release = current.resolve()
    assert (release / "lib/thing/__init__.py").read_text() == "VALUE = 1\n"
    assert verify_models(release / "models")
    assert (release / "bin/fly").stat().st_mode & 0o111
    return release.name


@pytest.mark.verifies("PAY-043")
def test_an_install_can_be_repeated_and_rolled_back(bundle, newer, tmp_path):
    first = install.install(bundle, tmp_path, trusted=None)
    assert is_whole(tmp_path) == first
    (tmp_path / "etc/vinsat/camera.toml").write_text("mine", encoding="ascii")
    assert install.install(bundle, tmp_path, trusted=None) == first
    assert (tmp_path / "etc/vinsat/camera.toml").read_text(encoding="ascii") == "mine"
    second = install.install(newer, tmp_path, trusted=None)
    assert install.status(tmp_path) == {"current": second, "previous": first}
    assert install.roll_back(tmp_path) == first
    assert is_whole(tmp_path) == first
    assert (tmp_path / "var/lib/vinsat/models/manifest.toml").exists()


@pytest.mark.verifies("PAY-053")
def test_a_release_holds_the_byte_code_of_all_that_flies(bundle, tmp_path):
    install.install(bundle, tmp_path, trusted=None)
    release = (tmp_path / "opt/vinsat/current").resolve()
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
    for source in (release / "app/flightsw/cli.py", release / "lib/thing/__init__.py"):
        code = marshal.loads((source.parent / f"__pycache__/{source.stem}.{tag}.pyc").read_bytes()[16:])
        assert code.co_filename == f"/opt/vinsat/current/{source.relative_to(release)}"


@pytest.mark.verifies("PAY-053")
def test_a_release_for_a_python_that_is_not_here_is_installed_without_byte_code(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app/some.py").write_text("VALUE = 1\n", encoding="ascii")
    install.compile_tree(tmp_path, "cp399")
    assert [path.name for path in (tmp_path / "app").iterdir()] == ["some.py"]


@pytest.mark.verifies("PAY-043")
def test_a_bundle_that_this_computer_cannot_run_is_refused(bundle, monkeypatch):
    info, _, _ = read_bundle(bundle, trusted=None)
    monkeypatch.setattr(install, "own_tag", lambda: info.python)
    monkeypatch.setattr(install, "MACHINE", "another")
    with pytest.raises(BundleError, match="is for another"):
        install.refuse_foreign(info)
    monkeypatch.setattr(install, "own_tag", lambda: "cp399")
    with pytest.raises(BundleError, match="flash bundle --python"):
        install.refuse_foreign(info)


@pytest.mark.verifies("PAY-043")
def test_a_downgrade_needs_to_be_asked_for(bundle, newer, tmp_path, capsys):
    install.install(newer, tmp_path, trusted=None)
    assert install.main(["install", str(bundle), "--root", str(tmp_path)]) == 3
    assert "older than 9.9.9" in capsys.readouterr().err
    assert install.main(["install", str(bundle), "--root", str(tmp_path), "--allow-downgrade"]) == 0


@pytest.mark.verifies("PAY-042")
def test_the_first_key_is_the_only_one_from_then_on(bundle, models, wheels, tmp_path):
    from groundtools.flash import signing

    install.install(bundle, tmp_path / "root", trusted=None)
    signing.write_key_pair(tmp_path / "k")
    key = tmp_path / "k" / "private.pem"
    other = bundle_module.make_bundle(tmp_path / "b", models=models, wheels=wheels, key=key)
    with pytest.raises(BundleError, match="somebody else"):
        install.install(other, tmp_path / "root", trusted=None)


@pytest.mark.verifies("PAY-044")
def test_a_power_cut_at_any_step_leaves_the_old_release_or_the_new(bundle, newer, tmp_path, monkeypatch):
    template = tmp_path / "template"
    old = install.install(bundle, template, trusted=None)
    whole = cut_at(monkeypatch, 10**6)
    shutil.copytree(template, tmp_path / "all", symlinks=True)
    new = install.install(newer, tmp_path / "all", trusted=None)
    steps = len(whole)
    assert steps > 120
    late = [k for k, what in enumerate(whole, 1) if not what.startswith("unpack")]
    for number in sorted({1, 2, 100, steps - 20, *late}):
        root = tmp_path / "root"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template, root, symlinks=True)
        cut_at(monkeypatch, number)
        with pytest.raises(PowerCut):
            install.install(newer, root, trusted=None)
        assert is_whole(root) in (old, new)
        cut_at(monkeypatch, 10**6)
        assert install.install(newer, root, trusted=None) == new
        assert is_whole(root) == new


@pytest.mark.verifies("PAY-044")
def test_a_power_cut_during_a_roll_back_leaves_one_of_the_two(bundle, newer, tmp_path, monkeypatch):
    old = install.install(bundle, tmp_path, trusted=None)
    new = install.install(newer, tmp_path, trusted=None)
    for number in range(1, 5):
        cut_at(monkeypatch, number)
        with pytest.raises(PowerCut):
            install.roll_back(tmp_path)
        assert is_whole(tmp_path) in (old, new)
        cut_at(monkeypatch, 10**6)
        install.install(newer, tmp_path, trusted=None)
        install.link(tmp_path / "opt/vinsat/previous", f"releases/{old}")


@pytest.fixture
def ssh_server(tmp_path):
    """Start a server on loopback for this user; return a target whose root is a folder."""
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(sshd).exists() or shutil.which("ssh") is None:
        pytest.skip("needs sshd and ssh")
    for name in ("host", "client"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(command, check=True)
    shutil.copy(tmp_path / "client.pub", tmp_path / "authorized")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    Path("/run/sshd").mkdir(exist_ok=True)
    options = ["-D", "-e", "-f", "/dev/null", "-p", str(port), "-h", str(tmp_path / "host")]
    options += ["-o", f"AuthorizedKeysFile={tmp_path / 'authorized'}", "-o", "StrictModes=no"]
    options += ["-o", "ListenAddress=127.0.0.1", "-o", "UsePAM=no"]
    with open(tmp_path / "sshd.log", "wb") as log:
        process = subprocess.Popen([sshd, *options], stderr=log)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    client = (
        f"IdentityFile={tmp_path / 'client'}",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
    )
    (tmp_path / "root").mkdir()
    yield remote.Target(f"{getpass.getuser()}@127.0.0.1", port, str(tmp_path / "root"), client)
    process.terminate()
    process.wait()


@pytest.mark.verifies("PAY-046")
def test_an_install_over_ssh_and_again_and_back(bundle, newer, ssh_server, tmp_path):
    (tmp_path / "keys").write_text("secret", encoding="ascii")
    options = {"keys": tmp_path / "keys", "trust": None, "allow_downgrade": False}
    said = remote.install(ssh_server, bundle, **options)
    assert remote.install(ssh_server, bundle, **options) == said
    root = Path(ssh_server.root)
    assert said.split() == ["current", is_whole(root)]
    assert (root / "etc/vinsat/keys").stat().st_mode & 0o777 == 0o600
    assert not (root / remote.STAGE).exists()
    remote.install(ssh_server, newer, **options)
    assert remote.roll_back(ssh_server) == said


def test_a_host_that_is_not_there_is_said_so(tmp_path):
    if shutil.which("ssh") is None:
        pytest.skip("needs ssh")
    with pytest.raises(remote.RemoteError, match="cannot be reached"):
        remote.run(remote.Target("nobody@127.0.0.1", port=1), "true")
    with pytest.raises(UsageError):
        remote.Target("-oProxyCommand=x")


@pytest.mark.verifies("PAY-047")
def test_what_is_no_free_card_is_never_written_to(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(b"x")
    for target, word in (
        (path, "no block device"),
        (tmp_path / "absent", "no such file"),
        (Path("/"), "no block"),
    ):
        with pytest.raises(UsageError, match=word):
            device.write_image(target, path, ask=None)
    system = next((Path("/dev") / n for n in device.in_use(Path("/proc/mounts"), Path("/proc/swaps"))), None)
    if system is not None and system.exists():
        with pytest.raises(UsageError, match=r"mounted|partition"):
            device.check_device(system, needed=1)


def test_mounts_and_swaps_are_read(tmp_path):
    (tmp_path / "mounts").write_text("/dev/zz1 /mnt ext4 rw 0 0\nproc /proc proc rw 0 0\n", encoding="ascii")
    (tmp_path / "swaps").write_text("Filename\tType\n/dev/zz2\tpartition\n", encoding="ascii")
    assert {"zz1", "zz2"} <= device.in_use(tmp_path / "mounts", tmp_path / "swaps")


def test_what_is_written_is_read_back(tmp_path, rng):
    (tmp_path / "image").write_bytes(rng.bytes(100_000))
    (tmp_path / "card").write_bytes(bytes(200_000))
    device.copy_and_compare(tmp_path / "image", tmp_path / "card")
    assert (tmp_path / "card").read_bytes()[:100_000] == (tmp_path / "image").read_bytes()


@pytest.mark.verifies("PAY-040")
def test_an_image_made_twice_is_the_same_file(bundle, tmp_path):
    if shutil.which("mksquashfs") is None:
        pytest.skip("needs mksquashfs")
    rootfs = tmp_path / "rootfs"
    (rootfs / "etc").mkdir(parents=True)
    (rootfs / "etc/hostname").write_text("pi\n", encoding="ascii")
    for name, package in image.NEEDED.items():
        with pytest.raises(InputError, match=f"the package {package}"):
            image.make_image(rootfs, bundle, tmp_path / "none", trusted=None)
        (rootfs / name).parent.mkdir(parents=True, exist_ok=True)
        (rootfs / name).touch()
    keys = tmp_path / "keys"
    write_keys(keys, new_keys())
    made = [
        image.make_image(rootfs, bundle, tmp_path / name, trusted=None, keys=keys)[0] for name in ("a", "b")
    ]
    assert made[0].read_bytes() == made[1].read_bytes()
    assert "squashfs ro" in image.FSTAB
    listed = subprocess.run(
        ["unsquashfs", "-lln", made[0]], capture_output=True, text=True, check=True
    ).stdout
    assert f"-rw------- {image.ID}/{image.ID}" in next(x for x in listed.splitlines() if x.endswith("/keys"))
    users = subprocess.run(["unsquashfs", "-cat", made[0], "etc/passwd"], capture_output=True, check=True)
    assert users.stdout.startswith(b"vinsat:x:990:990:")
