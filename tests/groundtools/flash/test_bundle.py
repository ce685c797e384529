"""Bundles: the same bytes every time, every byte accounted for, the key that signed them."""

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.errors import InputError
from groundtools.cli import main as vinsat
from groundtools.flash import signing
from groundtools.flash.archive import (
    BLOCK,
    BundleError,
    Info,
    Member,
    manifest_text,
    parse_manifest,
    read_bundle,
    tar_header,
)
from groundtools.flash.bundle import make_bundle

UNITS = Path(__file__).parents[3] / "groundtools" / "flash" / "units"


def flipped(bundle: Path, at: int, folder: Path) -> Path:
    """Return a copy of a bundle with one bit changed."""
    path = folder / "flipped.tar"
    if not path.exists():
        shutil.copy(bundle, path)
    with open(path, "r+b") as file, open(bundle, "rb") as original:
        original.seek(at)
        byte = original.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x20]))
    return path


def mend(bundle: Path, path: Path, at: int) -> None:
    with open(path, "r+b") as file, open(bundle, "rb") as original:
        original.seek(at)
        file.seek(at)
        file.write(original.read(1))


@pytest.mark.verifies("PAY-040")
def test_a_bundle_made_twice_in_different_folders_is_the_same_file(bundle, models, wheels, tmp_path):
    again = make_bundle(tmp_path / "elsewhere", models=models, wheels=wheels)
    assert again.read_bytes() == bundle.read_bytes()


@pytest.mark.verifies("PAY-041")
def test_a_bundle_verifies_and_any_tar_program_reads_it(bundle, capsys):
    assert vinsat(["flash", "verify", str(bundle)]) == 0
    assert "development key" in capsys.readouterr().out
    with tarfile.open(bundle) as tar:
        names = tar.getnames()
    assert names[:3] == ["manifest.sha256", "manifest.sig", "key.pem"]
    assert "app/flightsw/runtime/link/dictionary.toml" in names
    assert "models/manifest.toml" in names


def layout(bundle: Path) -> list[tuple[str, int, int]]:
    """Return (member, first, last byte) of every content, and "archive" for what is between."""
    with tarfile.open(bundle) as tar:
        members = [(m.name, m.offset_data, m.offset_data + m.size) for m in tar.getmembers()]
    spans, at = [], 0
    for name, first, last in members:
        spans += [("archive", at, first), (name, first, last)]
        at = last
    return [*spans, ("archive", at, bundle.stat().st_size)]


@pytest.mark.verifies("PAY-041")
def test_a_flipped_byte_anywhere_is_found_in_the_member_it_is_in(bundle, tmp_path, rng):
    spans = [span for span in layout(bundle) if span[2] > span[1]]
    places = [(name, first) for name, first, _ in spans] + [(name, last - 1) for name, _, last in spans]
    chosen = [places[int(k)] for k in rng.permutation(len(places))[:60]]
    chosen += [(name, int(rng.integers(first, last))) for name, first, last in spans[:8]]
    for name, at in chosen:
        path = flipped(bundle, at, tmp_path)
        with pytest.raises(BundleError) as caught:
            read_bundle(path, trusted=None)
        assert caught.value.member == name, at
        mend(bundle, path, at)
    read_bundle(path, trusted=None)


@pytest.mark.verifies("PAY-041")
def test_every_byte_of_headers_manifest_signature_and_key_is_checked(bundle, tmp_path):
    head = layout(bundle)[5][2]  # to the end of the key
    step = 7  # a prime: every place of a header is met in some header
    for at in range(0, head, step):
        path = flipped(bundle, at, tmp_path)
        with pytest.raises(BundleError):
            read_bundle(path, trusted=None)
        mend(bundle, path, at)


def test_a_cut_bundle_and_one_with_something_behind_it_are_refused(bundle, tmp_path, capsys):
    data = bundle.read_bytes()
    for name, content in (
        ("cut", data[:-1]),
        ("short", data[: BLOCK * 3]),
        ("empty", b""),
        ("long", data + b"\0"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert vinsat(["flash", "verify", str(path)]) == 3
        assert "Traceback" not in capsys.readouterr().err
    assert vinsat(["flash", "verify", str(tmp_path / "absent")]) == 3


@pytest.mark.verifies("PAY-042")
def test_a_bundle_signed_by_another_key_is_refused(bundle, models, wheels, tmp_path, capsys):
    signing.write_key_pair(tmp_path / "ours")
    private, trusted = tmp_path / "ours" / "private.pem", tmp_path / "ours" / "trusted.pem"
    assert private.stat().st_mode & 0o077 == 0
    assert vinsat(["flash", "verify", str(bundle), "--key", str(trusted)]) == 3
    assert "key.pem" in capsys.readouterr().err
    signed = make_bundle(tmp_path / "signed", models=models, wheels=wheels, key=private)
    assert vinsat(["flash", "verify", str(signed), "--key", str(trusted)]) == 0
    assert "development" not in capsys.readouterr().out
    with pytest.raises(InputError, match="there already"):
        signing.write_key_pair(tmp_path / "ours")


def test_a_manifest_cannot_name_a_place_outside():
    info = Info("vinsat-bundle-1", "1.0", "cp311", 0)
    for name in ("/etc/passwd", "../x", "a//b", "x" * 100):
        with pytest.raises(BundleError, match="names"):
            parse_manifest(manifest_text(info, [Member(name, "0" * 64, 0o644, 1)]))
    for data in (b"", b"x", b"# {}\n"):
        with pytest.raises(BundleError):
            parse_manifest(data)


@given(st.binary(max_size=2000), st.booleans())
def test_any_bytes_are_a_bundle_error(tmp_path_factory, data, behind_a_header):
    path = tmp_path_factory.getbasetemp() / "any.tar"
    head = tar_header("manifest.sha256", len(data), 0o644, 0) if behind_a_header else b""
    path.write_bytes(head + data)
    with pytest.raises(BundleError):
        read_bundle(path, trusted=None)


@pytest.mark.verifies("PAY-045")
def test_the_units_are_valid_and_ask_for_little(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    for unit in UNITS.glob("*.service"):
        said = subprocess.run(
            ["systemd-analyze", "--offline=true", "security", str(unit)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        score = float(said.split("Overall exposure level for")[1].split(":")[1].split()[0])
        assert score <= 4.0, said[-300:]
    for unit in [*UNITS.glob("*.service"), *UNITS.glob("*.path")]:
        text = unit.read_text(encoding="utf-8").replace("/opt/vinsat/current/bin/", f"{tmp_path}/")
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    for name in ("fly", "roll-back"):
        (tmp_path / name).write_text("#!/bin/sh\n", encoding="ascii")
        (tmp_path / name).chmod(0o755)
    units = [str(path) for path in tmp_path.iterdir() if path.suffix in (".service", ".path")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
