"""The two command keys: 32 secret bytes each, one rotated under the authority of the other.

A new key is derived, HMAC-SHA256(other key, "vinsat key" | slot | nonce), so no secret is
ever sent; only the ground, which holds the other key, can derive the same.
"""

import hashlib
import hmac
import os
import stat
from dataclasses import dataclass

from flightsw.errors import InputError
from flightsw.files import read_text

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 16, 16  # the tag is SHA-256 cut to 128 bits
SLOTS = 2
_LABEL = b"vinsat key"


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys of slots 0 and 1. Never shown: it has no repr."""

    slot: tuple[bytes, bytes]

    def tag(self, slot: int, data: bytes) -> bytes:
        """Return the authentication tag of data under a slot's key."""
        return hmac.digest(self.slot[slot], data, hashlib.sha256)[:TAG_BYTES]

    def rotated(self, slot: int, nonce: bytes) -> "Keys":
        """Return the keys with one derived anew from the other."""
        new = hmac.digest(self.slot[1 - slot], _LABEL + bytes([slot]) + nonce, hashlib.sha256)
        return Keys((new, self.slot[1]) if slot == 0 else (self.slot[0], new))

    def to_bytes(self) -> bytes:
        """Return the keys as they are kept."""
        return b"".join(self.slot)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Keys":
        """Return kept keys. Raises ValueError."""
        if len(data) != SLOTS * KEY_BYTES:
            raise ValueError(f"keys have {SLOTS * KEY_BYTES} bytes, got {len(data)}")
        return cls((data[:KEY_BYTES], data[KEY_BYTES:]))


def read_keys(path: str | os.PathLike[str]) -> Keys:
    """Return the keys of a file: two lines of 64 hexadecimal digits, slot 0 first.

    Raises InputError, also where others than its owner may read it.
    """
    words = read_text(path, max_bytes=1000).split()
    fix = "write it anew with `vinsat link keys`"
    try:
        keys = [bytes.fromhex(word) for word in words]
    except ValueError:
        raise InputError("holds no hexadecimal keys", file=path, fix=fix) from None
    if [len(key) for key in keys] != [KEY_BYTES] * SLOTS or keys[0] == keys[1]:
        raise InputError(f"must hold {SLOTS} different keys of {KEY_BYTES} bytes", file=path, fix=fix)
    if os.stat(path).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError("may be read by others than its owner", file=path, fix=f"chmod 600 {path}")
    return Keys((keys[0], keys[1]))


def keys_text(keys: Keys) -> str:
    """Return the text of a key file."""
    return "".join(f"{key.hex()}\n" for key in keys.slot)
