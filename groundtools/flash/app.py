"""Make, check and install what flies: one bundle, one command each.

Exit codes: 0 done, 2 usage, 3 bad input (`verify` names the member), 6 the other computer
cannot be reached.
"""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from flightsw.errors import EXIT_INPUT, EXIT_OK, InputError
from groundtools import models_folder
from groundtools.flash import device, image, remote, signing
from groundtools.flash.archive import BundleError, read_bundle
from groundtools.flash.bundle import PythonTag, make_bundle

HELP = """Make, check and install what flies on the payload computer.

For example:

`vinsat flash key --out flightkeys`

`vinsat flash bundle --out build --key flightkeys/private.pem`
"""
app = App(name="flash", help=HELP)

KeyFile = Annotated[Path | None, Parameter(help="Command keys (vinsat link keys), put there once.")]
Trust = Annotated[Path | None, Parameter(name="--key", help="Public key the payload is to trust.")]


@app.command
def bundle(
    *,
    out: Path,
    models: Path | None = None,
    key: Annotated[
        Path | None, Parameter(help="Private Ed25519 key; the development key without it.")
    ] = None,
    python: PythonTag = "3.11",
    wheels: Annotated[Path | None, Parameter(help="Folder of aarch64 wheels, instead of pip's.")] = None,
) -> int:
    """Write one signed tar with everything that flies."""
    folder = models_folder() if models is None else models
    path = make_bundle(out, models=folder, key=key, python=python, wheels=wheels)
    _say(str(path))
    if key is None:
        _say("signed with the development key, which everybody has: for flight, give --key")
    return EXIT_OK


@app.command
def verify(
    file: Path, *, key: Annotated[Path | None, Parameter(help="Public key that must have signed it.")] = None
) -> int:
    """Check every byte of a bundle; 3 names the first member that is not right."""
    if key is not None:
        signing.read_key(key)
    try:
        info, members, found = read_bundle(file, trusted=key)
    except BundleError as error:
        sys.stderr.write(f"{file}: {error}\n")
        return EXIT_INPUT
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=file) from None
    _say(f"{info.version} {info.python}: {len(members)} members, signed by {found}")
    if found == signing.fingerprint(signing.public_key(signing.development_key())):
        _say("signed with the development key: not for flight")
    elif key is None:
        _say("the key is the bundle's own: give --key to check that it is yours")
    return EXIT_OK


@app.command
def key(*, out: Path) -> int:
    """Make a key pair: private.pem to sign with, trusted.pem for the payload."""
    signing.write_key_pair(out)
    return EXIT_OK


@app.command
def install(
    host: str,
    file: Path,
    *,
    keys: KeyFile = None,
    trust: Trust = None,
    port: int = 22,
    root: str = "/",
    ssh_option: Annotated[tuple[str, ...], Parameter(help="Passed to ssh as -o.")] = (),
    allow_downgrade: bool = False,
) -> int:
    """Install a bundle over ssh on USER@HOST; again is no change."""
    target = remote.Target(host, port=port, root=root, options=ssh_option)
    lines = remote.install(target, file, keys=keys, trust=trust, allow_downgrade=allow_downgrade)
    _say(lines)
    return EXIT_OK


@app.command(name="roll-back")
def roll_back(host: str, *, port: int = 22, root: str = "/", ssh_option: tuple[str, ...] = ()) -> int:
    """Use the release before, on USER@HOST."""
    _say(remote.roll_back(remote.Target(host, port=port, root=root, options=ssh_option)))
    return EXIT_OK


@app.command
def doctor(host: str, *, port: int = 22, root: str = "/", ssh_option: tuple[str, ...] = ()) -> int:
    """Look at clock, camera, storage and memory of USER@HOST, and run its self-test."""
    code, lines = remote.doctor(remote.Target(host, port=port, root=root, options=ssh_option))
    _say(lines)
    return code


@app.command(name="image")
def image_(*, rootfs: Path, file: Path, out: Path, trust: Trust = None, keys: KeyFile = None) -> int:
    """Write root.squashfs and a partition table from a Debian arm64 root file system and a bundle."""
    for path in image.make_image(rootfs, file, out, trusted=trust, keys=keys):
        _say(str(path))
    if keys is None and not (rootfs / image.KEYS).exists():
        _say("without command keys the payload does not start: give --keys")
    return EXIT_OK


@app.command
def write(target: Path, file: Path, *, yes: bool = False) -> int:
    """Write an image to a device, after asking; refuses a mounted or system disk."""
    device.write_image(target, file, ask=None if yes else input)
    return EXIT_OK


def _say(text: str) -> None:
    sys.stdout.write(text.rstrip() + "\n")
