"""Packets, frames and fields against independent programs and against damage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.errors import InputError
from flightsw.runtime.link import dictionary as d
from flightsw.runtime.link.fields import Field, decode_fields, encode_fields
from flightsw.runtime.link.framing import MAX_FRAME, Framer, decode_frame, encode_frame
from flightsw.runtime.link.packets import (
    MAX_DATA,
    MAX_PACKET,
    Flaw,
    Packet,
    crc16,
    decode_packet,
    encode_header,
    encode_packet,
)
from flightsw.runtime.link.queue import SendQueue

CASES = 100_000


@pytest.mark.verifies("PAY-010")
def test_headers_and_crc_equal_spacepackets_on_random_cases(rng):
    reference = pytest.importorskip("spacepackets.ccsds.spacepacket")
    crc = pytest.importorskip("fastcrc")
    apids, counts = rng.integers(0, 2048, CASES), rng.integers(0, 16_384, CASES)
    sizes, flags = rng.integers(1, MAX_DATA + 1, CASES), rng.integers(0, 2, (CASES, 2))
    body = rng.bytes(MAX_DATA)
    for apid, count, size, (is_command, secondary) in zip(
        apids.tolist(), counts.tolist(), sizes.tolist(), flags.tolist()
    ):
        packet = Packet(bool(is_command), apid, count, body[:size], bool(secondary))
        header = reference.SpacePacketHeader(
            packet_type=reference.PacketType(is_command),
            apid=apid,
            seq_count=count,
            data_len=size + 1,
            sec_header_flag=bool(secondary),
            seq_flags=reference.SequenceFlags.UNSEGMENTED,
        )
        assert encode_header(packet) == bytes(header.pack())
    for size in rng.integers(0, MAX_DATA, 300):
        assert crc16(body[:size]) == crc.crc16.ibm_3740(body[:size])
    assert crc16(b"123456789") == 0x29B1


@given(st.booleans(), st.integers(0, 2047), st.integers(0, 16_383), st.binary(min_size=1, max_size=MAX_DATA))
def test_a_packet_reads_as_it_was_written(is_command, apid, count, data):
    packet = Packet(is_command, apid, count, data)
    assert decode_packet(encode_packet(packet)) == packet


@pytest.mark.verifies("PAY-010")
def test_every_changed_byte_and_every_cut_of_a_packet_is_noticed():
    data = encode_packet(Packet(False, 5, 7, bytes(range(60))))
    for at in range(len(data)):
        for change in range(1, 256):
            damaged = data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]
            assert isinstance(decode_packet(damaged), Flaw)
        assert isinstance(decode_packet(data[:at]), Flaw)


def test_fields_out_of_range_are_refused():
    for packet in (Packet(False, 2048, 0, b"x"), Packet(False, 1, 16_384, b"x"), Packet(False, 1, 0, b"")):
        with pytest.raises(ValueError, match=r"is 0 to|holds"):
            encode_packet(packet)
    with pytest.raises(ValueError, match="holds"):
        encode_packet(Packet(False, 1, 0, bytes(MAX_DATA + 1)))


@given(st.binary(max_size=MAX_PACKET))
def test_a_frame_holds_no_zero_and_reads_as_it_was_written(packet):
    frame = encode_frame(packet)
    assert frame[0] == frame[-1] == 0
    assert 0 not in frame[1:-1]
    assert decode_frame(frame[1:-1]) == packet
    assert len(frame) - 2 <= MAX_FRAME


@pytest.mark.verifies("PAY-011")
def test_damage_to_a_stream_costs_at_most_the_damaged_packet_and_its_neighbour(rng):
    packets = [encode_packet(Packet(False, 9, k, rng.bytes(int(rng.integers(1, 200))))) for k in range(40)]
    stream = b"".join(encode_frame(packet) for packet in packets)
    for _ in range(3000):
        at = int(rng.integers(0, len(stream)))
        kind = rng.integers(0, 3)
        if kind == 0:  # changed
            hurt = stream[:at] + bytes([stream[at] ^ int(rng.integers(1, 256))]) + stream[at + 1 :]
        elif kind == 1:  # lost
            hurt = stream[:at] + stream[at + 1 :]
        else:  # added
            hurt = stream[:at] + rng.bytes(1) + stream[at:]
        found = Framer().feed(hurt)
        right = [p for p in found if not isinstance(decode_packet(p), Flaw)]
        assert set(right) <= set(packets)
        assert len(right) >= len(packets) - 2


@given(st.lists(st.binary(max_size=3000), max_size=8))
def test_any_stream_is_taken_in_pieces_of_any_size(pieces):
    framer = Framer()
    for piece in pieces:
        for packet in framer.feed(piece):
            assert len(packet) <= MAX_FRAME
    framer.feed(b"\0")
    packet = encode_packet(Packet(True, 1, 1, b"after the noise"))
    assert framer.feed(encode_frame(packet)) == [packet]


FIELDS = (Field("a", "u8", low=1, high=9), Field("b", "f64"), Field("c", "text:8"), Field("d", "bytes"))


@given(
    st.integers(0, 255),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=8),
    st.binary(),
)
def test_fields_read_as_they_were_written(a, b, c, d_):
    values = {"a": a, "b": b, "c": c, "d": d_}
    assert decode_fields(FIELDS, encode_fields(FIELDS, values)) == values


@given(st.binary(max_size=40))
def test_any_bytes_are_fields_or_none(data):
    for entry in d.dictionary().telemetry:
        decode_fields(entry.field, data)
    decode_fields(FIELDS, data)


def test_a_value_that_does_not_fit_is_named():
    fields = (Field("count", "u8"), Field("name", "text:3"))
    for values, word in (
        ({"count": 256, "name": ""}, "count"),
        ({"count": 1.5, "name": ""}, "count"),
        ({"count": 1, "name": "long"}, "name"),
        ({"count": 1}, "name"),
        ({"count": 1, "name": "", "more": 2}, "more"),
    ):
        with pytest.raises(ValueError, match=word):
            encode_fields(fields, values)
    with pytest.raises(InputError, match="not a type"):
        Field("x", "u7")


def test_the_dictionary_fits_packets_and_its_ids_are_unique():
    for entry in d.dictionary().telemetry:
        assert sum(f.size or 0 for f in entry.field) + 8 <= MAX_DATA
    assert d.command("PING").id == 1
    assert d.command(1).name == "PING"
    assert d.telemetry("EVENT").apid == 0x102
    assert d.event("nothing") is None


@pytest.mark.verifies("PAY-012")
def test_the_least_urgent_is_dropped_first_and_counted():
    queue = SendQueue(100)
    for _ in range(5):
        assert queue.put(bytes(20), 4)
    assert queue.put(b"urgent" * 5, 0)
    assert queue.dropped == [0, 0, 0, 0, 2]
    assert not SendQueue(10).put(bytes(11), 0)
    assert queue.take() == b"urgent" * 5
    assert len(queue) == 3
    urgent = SendQueue(50)
    urgent.put(bytes(50), 0)
    assert not urgent.put(bytes(20), 3)
    assert urgent.dropped == [0, 0, 0, 1, 0]


def test_a_full_queue_stays_within_its_bytes(rng):
    queue, taken = SendQueue(1000), 0
    for _ in range(2000):
        queue.put(bytes(int(rng.integers(1, 300))), int(rng.integers(0, 5)))
    while (packet := queue.take()) is not None:
        taken += len(packet)
    assert 0 < taken <= 1000
    assert np.sum(queue.dropped) > 0
