"""A bundle as one tar file in which every byte is accounted for.

Standard library alone: this file travels in the bundle and runs on the target.

The layout is fixed by the manifest, so nothing in a header or in padding can differ
unnoticed: members are `manifest.sha256`, `manifest.sig`, then those that the manifest
lists, in its order, each with a POSIX ustar header of uid 0, gid 0 and the manifest's
time. A line of the manifest is `SHA-256  MODE  SIZE  NAME`; its first line says what the
bundle is, its last line is the SHA-256 of all lines before it.
"""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

MANIFEST, SIGNATURE, KEY = "manifest.sha256", "manifest.sig", "key.pem"
BLOCK = 512
SIGNATURE_BYTES = 64
MAX_MANIFEST = 4_000_000
PIECE = 1 << 20
FORMAT = "vinsat-bundle-1"
ARCHIVE = "archive"  # the name of what is no member: headers, padding, the end


class BundleError(ValueError):
    """A bundle is not what it should be. member : the first that is not right, or "archive"."""

    def __init__(self, member: str, problem: str) -> None:
        self.member = member
        super().__init__(f"{member}: {problem}")


@dataclass(frozen=True)
class Info:
    """What a bundle is. version : orders releases; python : tag of its wheels; time : of all files."""

    format: str
    version: str
    python: str
    time: int


@dataclass(frozen=True)
class Member:
    """A file of the bundle."""

    name: str
    sha256: str
    mode: int
    size: int


def manifest_text(info: Info, members: list[Member]) -> bytes:
    """Return a manifest's bytes."""
    lines = [f"# {json.dumps(asdict(info), sort_keys=True)}"]
    lines += [f"{m.sha256}  {m.mode:o}  {m.size}  {m.name}" for m in members]
    body = "".join(f"{line}\n" for line in lines).encode()
    return body + f"# {hashlib.sha256(body).hexdigest()}\n".encode()


def parse_manifest(data: bytes) -> tuple[Info, list[Member]]:
    """Return what a manifest says. Raises BundleError."""
    body, _, last = data[:-1].rpartition(b"\n")
    body += b"\n"
    if data[-1:] != b"\n" or last != f"# {hashlib.sha256(body).hexdigest()}".encode():
        raise BundleError(MANIFEST, "its own checksum differs: it is damaged or cut")
    try:
        first, *lines = body.decode("ascii").splitlines()
        info = Info(**json.loads(first[2:]))
        members = []
        for line in lines:
            sha256, mode, size, name = line.split("  ", 3)
            members.append(Member(name, sha256, int(mode, 8), int(size)))
    except (ValueError, TypeError) as error:
        raise BundleError(MANIFEST, f"cannot be read ({error})") from None
    for member in members:
        parts = member.name.split("/")
        if member.name.startswith("/") or ".." in parts or "" in parts or len(member.name) > 99:
            raise BundleError(MANIFEST, f"names {member.name!r}")
    if info.format != FORMAT:
        raise BundleError(MANIFEST, f"is of format {info.format!r}, not {FORMAT}")
    return info, members


def tar_header(name: str, size: int, mode: int, time: int) -> bytes:
    """Return the ustar header of a plain file (POSIX.1-1988)."""
    fields = (
        name.encode().ljust(100, b"\0") + f"{mode:07o}\0".encode() + b"0000000\0" * 2
        + f"{size:011o}\0{time:011o}\0".encode() + b" " * 8 + b"0" + b"\0" * 100 + b"ustar\00000"
        + b"root".ljust(32, b"\0") * 2 + b"0000000\0" * 2
    )  # fmt: skip
    header = bytearray(fields.ljust(BLOCK, b"\0"))
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


def padding(size: int) -> bytes:
    """Return the zeros behind a member."""
    return bytes(-size % BLOCK)


END = bytes(2 * BLOCK)


def read_bundle(path: Path, *, trusted: Path | None) -> tuple[Info, list[tuple[Member, int]], str]:
    """Check every byte of a bundle; return info, members with their offsets, the key's fingerprint.

    trusted : the public key it must be signed with; None takes the one inside, of which the
    caller is told the fingerprint. Raises BundleError, OSError.
    """
    with open(path, "rb") as file:
        manifest, time = _read_manifest(file)
        info, members = parse_manifest(manifest)
        if time != info.time:
            raise BundleError(ARCHIVE, "a header is not as it was written")
        signature = _member(file, SIGNATURE, SIGNATURE_BYTES, 0o644, info.time)
        placed, key = [], b""
        for member in members:
            _header(file, member.name, member.size, member.mode, info.time)
            placed.append((member, file.tell()))
            digest, content = _digest(file, member)
            if digest != member.sha256:
                raise BundleError(member.name, "its SHA-256 differs from the manifest's")
            key = content if member.name == KEY else key
            _expect(file, padding(member.size))
        _expect(file, END)
        if file.read(1):
            raise BundleError(ARCHIVE, "something stands behind its end")
    if trusted is not None and trusted.read_bytes() != key:
        raise BundleError(KEY, "is not the trusted key: the bundle is signed by somebody else")
    if not key or not is_signed(manifest, signature, key):
        raise BundleError(SIGNATURE, "does not fit the manifest and the key")
    return info, placed, hashlib.sha256(key).hexdigest()[:16]


def is_signed(data: bytes, signature: bytes, public_key: bytes) -> bool:
    """Tell whether an Ed25519 signature is right, by the system's openssl."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"data": data, "signature": signature, "key": public_key}
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key", "-rawin", "-in", "data"]
        command += ["-sigfile", "signature"]
        return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def content_of(path: Path, member: Member, offset: int) -> Iterator[bytes]:
    """Return a member's bytes, in pieces."""
    with open(path, "rb") as file:
        file.seek(offset)
        left = member.size
        while left:
            piece = file.read(min(left, PIECE))
            if not piece:
                raise BundleError(member.name, "is cut")
            left -= len(piece)
            yield piece


def _read_manifest(file: BinaryIO) -> tuple[bytes, int]:
    """Return the manifest's bytes and the time in its header."""
    header = file.read(BLOCK)
    try:
        size, time = int(header[124:135], 8), int(header[136:147], 8)
    except ValueError:
        raise BundleError(ARCHIVE, "does not begin with a manifest") from None
    if header != tar_header(MANIFEST, size, 0o644, time) or size > MAX_MANIFEST:
        raise BundleError(ARCHIVE, "does not begin with a manifest")
    data = file.read(size)
    _expect(file, padding(size))
    return data, time


def _member(file: BinaryIO, name: str, size: int, mode: int, time: int) -> bytes:
    _header(file, name, size, mode, time)
    data = file.read(size)
    _expect(file, padding(size))
    return data


def _header(file: BinaryIO, name: str, size: int, mode: int, time: int) -> None:
    _expect(file, tar_header(name, size, mode, time))


def _expect(file: BinaryIO, data: bytes) -> None:
    if file.read(len(data)) != data:
        raise BundleError(
            ARCHIVE, f"is damaged or cut before byte {file.tell()}: no header or padding of ours"
        )


def _digest(file: BinaryIO, member: Member) -> tuple[str, bytes]:
    """Return the SHA-256 of the next member, and its content where it is small."""
    sha, left, content = hashlib.sha256(), member.size, b""
    while left:
        piece = file.read(min(left, PIECE))
        if not piece:
            raise BundleError(member.name, "is cut")
        sha.update(piece)
        content = piece if member.size <= PIECE else b""
        left -= len(piece)
    return sha.hexdigest(), content
