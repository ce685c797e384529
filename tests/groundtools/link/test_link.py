"""The ground's tools: arguments, pages, XTCE read by an independent program."""

import io
import struct
from pathlib import Path

import pytest

from flightsw.errors import InputError, UsageError
from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.link.telemetry import encode_telemetry
from groundtools.link.app import line_of, parse_arguments, reply_text
from groundtools.link.client import Credentials, Received, new_keys, write_keys
from groundtools.link.documents import dictionary_page
from groundtools.link.streams import open_stream
from groundtools.link.xtce import xtce_text

ROOT = Path(__file__).parents[3]


def value_of(field, rng):
    """Return a random value of a field, as decoded."""
    if field.names:
        return int(rng.integers(0, len(field.names)))
    if field.type[0] == "f":
        return float(rng.normal())
    if field.type in ("u8", "u16", "u32"):
        return int(rng.integers(0, 2 ** int(field.type[1:])))
    if field.type in ("u64", "i64"):
        return int(rng.integers(0, 2**62))
    if field.type.startswith("text"):
        return "detail " + str(rng.integers(0, 1000))
    return rng.bytes(field.size or int(rng.integers(1, 300)))


@pytest.mark.verifies("PAY-019")
def test_an_independent_program_reads_our_packets_by_our_xtce(rng):
    definitions = pytest.importorskip("space_packet_parser.xtce.definitions")
    definition = definitions.XtcePacketDefinition.from_xtce(io.BytesIO(xtce_text().encode()))
    for entry in dic.dictionary().telemetry:
        for _ in range(20):
            values = {field.name: value_of(field, rng) for field in entry.field}
            packet = encode_telemetry(entry.name, 812_345_678_901, values)
            found = definition.parse_bytes(packet, root_container_name="CCSDS_TELEMETRY")
            assert found["PKT_APID"] == entry.apid
            assert found["TIME_TAI_NS"] == 812_345_678_901
            for field in entry.field:
                read = found[f"{entry.name}_{field.name}"]
                expected = values[field.name]
                if field.names:
                    expected = field.names[expected]
                if isinstance(expected, str) and not field.names:
                    read = read.rstrip("\0")
                tolerance = 1e-6 if field.type == "f32" else 0.0
                assert read == (pytest.approx(expected, rel=tolerance) if tolerance else expected), field.name


def test_the_dictionary_page_is_up_to_date():
    stored = (ROOT / "docs" / "dictionary.md").read_text(encoding="utf-8")
    assert stored == dictionary_page(), "run `vinsat link page --out docs/dictionary.md`"


def test_arguments_are_typed_by_the_dictionary():
    words = ("parameter=image_period_s", "value=5")
    assert parse_arguments("SET_PARAMETER", words) == {"parameter": 1, "value": 5.0}
    assert parse_arguments("SET_MODE", ("mode=SAFE",)) == {"mode": "SAFE"}
    assert parse_arguments("SET_MODE", ("mode=0x1",)) == {"mode": 1}
    nonce = parse_arguments("ROTATE_KEY", ("slot=1", "nonce=" + "0a" * 16))
    assert nonce == {"slot": 1, "nonce": b"\n" * 16}
    for command, given in (
        ("NOTHING", ()),
        ("PING", ("x=1",)),
        ("SET_MODE", ("mode",)),
        ("SET_TIME", ("time_tai_ns=soon",)),
        ("ROTATE_KEY", ("nonce=zz",)),
    ):
        with pytest.raises(UsageError):
            parse_arguments(command, given)


def test_a_packet_is_one_line_with_names_for_numbers():
    values = {"event": 8, "severity": 1, "value": 0.5, "detail": "camera: gone"}
    line = line_of(Received("EVENT", 3, 0, values))
    assert line.endswith("EVENT 3 event=CAMERA_LOST severity=WARNING value=0.5 detail=camera: gone")


def test_a_reply_is_said_in_the_words_of_the_dictionary():
    assert reply_text("GET_PARAMETER", struct.pack(">d", 2.5)) == "value=2.5"
    assert reply_text("LIST_FILES", (7).to_bytes(4, "big")) == "files=7"
    assert reply_text("GET_PARAMETER", b"\1") == "01"  # not what it should be: as it is
    assert reply_text("UPLINK_STATUS", b"\1\2") == "0102"


def test_addresses_that_are_none_are_refused():
    for address in ("", "tcp:", "tcp:host", "udp:host:1", "serial:", "serial:/dev/null:17"):
        with pytest.raises(UsageError, match="is no address"):
            open_stream(address)
    with pytest.raises(InputError, match="cannot be reached") as caught:
        open_stream("tcp:127.0.0.1:1")
    assert caught.value.exit_code == 6


def test_a_counter_is_never_given_twice(tmp_path):
    write_keys(tmp_path / "keys", new_keys())
    first = Credentials(tmp_path / "keys")
    assert [first.next_counter(), first.next_counter(), first.next_counter(50)] == [1, 2, 51]
    assert Credentials(tmp_path / "keys").next_counter() == 52
    (tmp_path / "keys.counter").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="is no counter file"):
        Credentials(tmp_path / "keys")
