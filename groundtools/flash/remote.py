"""The payload computer over ssh: install, go back, look."""

import io
import shlex
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from flightsw.errors import InputError, UsageError, VinsatError

EXIT_REMOTE = 6
SSH_FAILED = 255
STAGE = "var/tmp/vinsat-install"
HERE = Path(__file__).parent


class RemoteError(VinsatError):
    """The other computer cannot be reached (exit code 6)."""

    exit_code = EXIT_REMOTE


@dataclass(frozen=True, slots=True)
class Target:
    """USER@HOST; root : where its file system begins (tests); options : for ssh's -o."""

    host: str
    port: int = 22
    root: str = "/"
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what ssh would take for an option. Raises UsageError."""
        if not self.host or self.host.startswith("-"):
            raise UsageError(f"{self.host!r} is no host; give USER@HOST")


def install(
    target: Target, bundle: Path, *, keys: Path | None, trust: Path | None, allow_downgrade: bool
) -> str:
    """Send a bundle and its installer, run it, remove both; return what it said."""
    stage = f"{target.root.rstrip('/')}/{STAGE}"
    sent = {bundle.name: bundle, "install.py": HERE / "install.py", "archive.py": HERE / "archive.py"}
    if trust is not None:
        sent["trusted.pem"] = trust
    if keys is not None:
        _read(keys)  # before anything is done
    folder = shlex.quote(stage)
    unpack = f"rm -rf {folder} && mkdir -p {folder} && tar -x -C {folder}"
    _checked(target, _ssh(target, unpack, _packed(sent)))
    if keys is not None:
        place = f"{target.root.rstrip('/')}/etc/vinsat"
        put(target, keys, place, "keys")
    words = ["sudo" if _needs_sudo(target) else "env", "python3", f"{stage}/install.py", "install"]
    words += [f"{stage}/{bundle.name}", "--root", target.root]
    words += ["--key", f"{stage}/trusted.pem"] if trust else []
    words += ["--allow-downgrade"] if allow_downgrade else []
    return run(target, f"{shlex.join(words)}; code=$?; rm -rf {folder}; exit $code")


def roll_back(target: Target) -> str:
    """Use the release before; return what was said."""
    base = f"{target.root.rstrip('/')}/opt/vinsat/current"
    words = ["sudo" if _needs_sudo(target) else "env", f"{base}/bin/roll-back", "--root", target.root]
    return run(target, shlex.join(words))


def doctor(target: Target) -> tuple[int, str]:
    """Run the payload's own doctor; return its exit code and what it said."""
    words = ["sudo" if _needs_sudo(target) else "env"]  # the keys are for the payload's user alone
    words += [f"{target.root.rstrip('/')}/opt/vinsat/current/bin/doctor"]
    done = _ssh(target, shlex.join(words), None)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def put(target: Target, source: Path, folder: str, name: str) -> None:
    """Copy a secret file, whole or not at all, for its owner alone."""
    path, where = shlex.quote(f"{folder}/{name}"), shlex.quote(folder)
    sudo = "sudo " if _needs_sudo(target) else ""
    write = (
        f"umask 077 && mkdir -p {where} && chmod 755 {where} && cat > {path}.part && mv {path}.part {path}"
    )
    _checked(target, _ssh(target, f"{sudo}sh -c {shlex.quote(write)}", _read(source)))


def _packed(files: dict[str, Path]) -> bytes:
    """Return files as a tar."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, path in files.items():
            content = _read(path)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from None


def run(target: Target, command: str) -> str:
    """Run a command; return what it said. Raises InputError where it fails, RemoteError."""
    return _checked(target, _ssh(target, command, None))


def _needs_sudo(target: Target) -> bool:
    return target.root == "/" and not target.host.startswith("root@")


def _ssh(target: Target, command: str, data: bytes | None) -> "subprocess.CompletedProcess[bytes]":
    words = ["ssh", "-p", str(target.port), "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    words += [word for option in target.options for word in ("-o", option)]
    try:
        done = subprocess.run(
            [*words, target.host, command], input=data or b"", capture_output=True, check=False
        )
    except OSError:
        raise InputError("is not installed", file="ssh", fix="sudo apt install openssh-client") from None
    if done.returncode == SSH_FAILED:
        words_said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise RemoteError(f"{target.host}: cannot be reached ({words_said[:200]})")
    return done


def _checked(target: Target, done: "subprocess.CompletedProcess[bytes]") -> str:
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise InputError(said or f"ended with {done.returncode}", file=target.host)
    return done.stdout.decode("utf-8", "replace")
