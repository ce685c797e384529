"""Keys that sign bundles: Ed25519 by the system's openssl; a development key that is no secret."""

import base64
import hashlib
import subprocess
from pathlib import Path

from flightsw.errors import InputError
from flightsw.files import prepare_folder, read_bytes
from groundtools.flash.archive import SIGNATURE_BYTES

MAX_KEY = 10_000  # bytes
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")  # RFC 8410, before the 32 bytes of the key
_SEED = hashlib.sha256(b"vinsat development key: everybody has it").digest()


def development_key() -> bytes:
    """Return the private key (PEM) that bundles are signed with where none is given."""
    body = base64.b64encode(_PKCS8 + _SEED).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n".encode()


def read_key(path: Path) -> bytes:
    """Return the content of a key's file. Raises InputError."""
    return read_bytes(path, max_bytes=MAX_KEY)


def public_key(private: bytes) -> bytes:
    """Return the public key (PEM) of a private one. Raises InputError."""
    return _openssl(["pkey", "-pubout"], private, "is no private key")


def sign(private: bytes, data: bytes, folder: Path) -> bytes:
    """Return the signature of data; `folder` is for files on the way. Raises InputError."""
    (folder / "private.pem").touch(mode=0o600)
    (folder / "private.pem").write_bytes(private)
    (folder / "data").write_bytes(data)
    command = ["pkeyutl", "-sign", "-inkey", str(folder / "private.pem")]
    command += ["-rawin", "-in", str(folder / "data")]
    signature = _openssl(command, b"", "cannot sign")
    if len(signature) != SIGNATURE_BYTES:
        raise InputError(
            "is not of the kind Ed25519", field="--key", fix="make one: vinsat flash key --out DIR"
        )
    return signature


def fingerprint(public: bytes) -> str:
    """Return the name by which a public key is shown."""
    return hashlib.sha256(public).hexdigest()[:16]


def write_key_pair(folder: Path) -> None:
    """Write private.pem (for its owner alone) and trusted.pem. Raises InputError."""
    prepare_folder(folder)
    private = _openssl(["genpkey", "-algorithm", "ed25519"], b"", "cannot make a key")
    path = folder / "private.pem"
    if path.exists():
        raise InputError("is there already", file=path, fix="name another folder")
    path.touch(mode=0o600)
    path.write_bytes(private)
    (folder / "trusted.pem").write_bytes(public_key(private))


def _openssl(arguments: list[str], data: bytes, problem: str) -> bytes:
    try:
        done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=False)
    except OSError:
        raise InputError("is not installed", file="openssl", fix="sudo apt install openssl") from None
    if done.returncode != 0:
        words = " ".join(done.stderr.decode("utf-8", "replace").split())[:120]
        raise InputError(f"{problem} ({words})", field="--key", fix="make one: vinsat flash key --out DIR")
    return done.stdout
