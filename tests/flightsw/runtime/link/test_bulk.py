"""Files down and up in chunks: what is lost is sent again, restarts cost nothing."""

import errno
import hashlib
import os
import tempfile
import zlib

import numpy as np
import pytest

from flightsw.runtime.link.downlink import Downlink
from flightsw.runtime.link.telemetry import Telemetry, decode_telemetry
from flightsw.runtime.link.uplink import CHUNK, STATE, Uplink


def collect(telemetry: Telemetry):
    while (packet := telemetry.take()) is not None:
        yield decode_telemetry(packet)


@pytest.mark.verifies("PAY-017")
def test_a_file_comes_down_over_a_lossy_link_by_asking_again(tmp_path, rng):
    content = rng.bytes(50_000)
    (tmp_path / "orbit.oem").write_bytes(content)
    downlink, telemetry = Downlink({"products": tmp_path}), Telemetry()
    have: dict[int, bytes] = {}
    asked = 0
    assert downlink.request("products/orbit.oem", 0, 1000) == ""
    while len(have) < -(-len(content) // CHUNK):
        while downlink.is_busy:
            downlink.fill(telemetry, 0)
            for _, _, _, values in collect(telemetry):
                if rng.random() < 0.6:
                    have[values["chunk"]] = values["data"]
        gaps = [k for k in range(-(-len(content) // CHUNK)) if k not in have]
        for gap in gaps:
            asked += 1
            assert downlink.request("products/orbit.oem", gap, 1) == ""
    assert b"".join(have[k] for k in sorted(have)) == content
    assert asked > 0


@pytest.mark.verifies("PAY-017")
def test_nothing_outside_the_named_folders_can_be_had(tmp_path):
    (tmp_path / "products").mkdir()
    (tmp_path / "keys").write_text("secret", encoding="ascii")
    (tmp_path / "products" / "link").symlink_to(tmp_path / "keys")
    (tmp_path / "products" / ".hidden").write_text("x", encoding="ascii")
    downlink = Downlink({"products": tmp_path / "products"})
    assert list(downlink.files()) == []
    for name in ("keys", "products/../keys", "products/link", "products/.hidden", "/etc/passwd", ""):
        assert downlink.request(name, 0, 1) == "no such file"


def test_a_listing_names_size_and_checksum(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"hello")
    telemetry = Telemetry()
    assert Downlink({"products": tmp_path}).list(telemetry, 5, 0) == 1
    ((entry, count, tai_ns, values),) = collect(telemetry)
    assert (entry.name, count, tai_ns) == ("FILE", 0, 5)
    assert values["file"] == "products/a.txt"
    assert values["content_crc32"] == zlib.crc32(b"hello")


def test_chunks_wait_for_room_and_leave_what_is_urgent_alone(tmp_path):
    (tmp_path / "big").write_bytes(bytes(100_000))
    downlink, telemetry = Downlink({"p": tmp_path}), Telemetry(limit=5000)
    downlink.request("p/big", 0, 10_000)
    downlink.fill(telemetry, 0)
    assert 0 < len(telemetry.queue) < 6
    assert telemetry.dropped == 0


@pytest.mark.verifies("PAY-018")
def test_an_uplink_in_any_order_with_restarts_becomes_the_file(tmp_path, rng):
    content = rng.bytes(200_001)
    digest = hashlib.sha256(content).digest()
    uplink = Uplink(tmp_path)
    assert uplink.begin("rc.onnx", len(content), digest) == ""
    pieces = [content[k : k + CHUNK] for k in range(0, len(content), CHUNK)]
    order = rng.permutation(np.repeat(np.arange(len(pieces)), 2))
    for number, index in enumerate(order):
        if number % 100 == 99:
            uplink = Uplink(tmp_path)  # a restart forgets at most the last chunks
            assert uplink.begin("rc.onnx", len(content), digest) == ""
        assert uplink.chunk(int(index), pieces[index]) == ""
    while (gaps := uplink.missing()[1]) and gaps:
        for index in gaps:
            assert uplink.chunk(index, pieces[index]) == ""
    assert uplink.finish() == ""
    assert (tmp_path / "rc.onnx").read_bytes() == content
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rc.onnx"]


@pytest.mark.verifies("PAY-018")
def test_a_wrong_file_is_not_put_in_place(tmp_path):
    uplink = Uplink(tmp_path)
    assert uplink.chunk(0, b"x") == "no file was begun"
    assert uplink.begin("../rc.onnx", 10, bytes(32)) != ""
    assert uplink.begin("rc.onnx", 0, bytes(32)) != ""
    assert uplink.begin("rc.onnx", 3, hashlib.sha256(b"abc").digest()) == ""
    assert uplink.finish() == "chunks are missing"
    assert uplink.chunk(1, b"abc") == "no such chunk"
    assert uplink.chunk(0, b"ab") == "not a chunk's length"
    assert uplink.chunk(0, b"abd") == ""
    assert uplink.finish() == "its SHA-256 differs"
    assert uplink.missing() == (0, [0])
    assert uplink.chunk(0, b"abc") == ""
    assert uplink.finish() == ""


@pytest.mark.verifies("PAY-002")
def test_every_flipped_byte_of_an_uplinks_map_is_noticed_and_the_file_begun_anew(tmp_path, rng):
    content = rng.bytes(2 * CHUNK)
    digest = hashlib.sha256(content).digest()
    assert Uplink(tmp_path).begin("rc.onnx", len(content), digest) == ""
    kept = (tmp_path / STATE).read_bytes()
    assert Uplink(tmp_path).chunk(0, content[:CHUNK]) == ""
    for at in range(len(kept)):
        for bit in (0x01, 0x80, 0xFF):
            damaged = bytearray(kept)
            damaged[at] ^= bit
            (tmp_path / STATE).write_bytes(damaged)
            assert Uplink(tmp_path).chunk(1, content[CHUNK:]) == "no file was begun"


@pytest.mark.verifies("PAY-036")
def test_a_medium_that_takes_no_map_of_an_uplink_refuses_the_command(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    uplink = Uplink(tmp_path)
    monkeypatch.setattr(tempfile, "mkstemp", full)
    assert uplink.begin("rc.onnx", 3, bytes(32)) == "cannot be written"
    assert uplink.chunk(0, b"abc") == "no file was begun"


def test_sequence_counts_have_no_gaps_although_packets_were_dropped():
    telemetry = Telemetry(limit=400)
    for number in range(50):
        telemetry.put("EVENT", number, {"event": 1, "severity": 0, "value": 0.0, "detail": ""})
    assert telemetry.dropped > 40
    counts = [count for _, count, _, _ in collect(telemetry)]
    assert counts == list(range(len(counts)))
