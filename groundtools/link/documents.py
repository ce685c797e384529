"""docs/dictionary.md, made from the dictionary."""

from collections.abc import Iterator, Sequence

from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.link.fields import Field

HEAD = """# Commands, telemetry, events, parameters

Made from `flightsw/runtime/link/dictionary.toml` by `vinsat link page`; do not edit. Packets are CCSDS Space
Packets with CRC-16, big-endian, in frames of consistent overhead byte stuffing between zero bytes.
"""


def dictionary_page() -> str:
    """Return the page, in Markdown."""
    return "\n".join([HEAD, *_commands(), *_telemetry(), *_events(), *_parameters()])


def _commands() -> Iterator[str]:
    d = dic.dictionary()
    yield f"## Commands\n\nAPID 0x{d.command_apid:03X}. Data: slot u8, counter u64, command u8, arguments,"
    yield "tag (16 bytes of HMAC-SHA256 over primary header and all data before it).\n"
    for entry in d.command:
        again = " May run twice." if entry.idempotent else ""
        yield f"### {entry.id} {entry.name}\n\n{entry.description}{again}\n"
        yield from _fields(entry.argument)
        if entry.reply:
            yield "Reply:\n"
            yield from _fields(entry.reply)


def _telemetry() -> Iterator[str]:
    yield "## Telemetry\n\nData: time_tai_ns i64 (TAI ns past 2000-01-01T12:00:00 TAI), then the fields.\n"
    for entry in dic.dictionary().telemetry:
        yield f"### 0x{entry.apid:03X} {entry.name}\n\n{entry.description} Priority {entry.priority}.\n"
        yield from _fields(entry.field)


def _events() -> Iterator[str]:
    yield "## Events\n\n| id | name | severity | |\n|---|---|---|---|"
    for e in dic.dictionary().event:
        yield f"| {e.id} | {e.name} | {e.severity} | {e.description} |"
    yield ""


def _parameters() -> Iterator[str]:
    yield "## Parameters\n\n| id | name | default | range | |\n|---|---|---|---|---|"
    for p in dic.dictionary().parameter:
        yield f"| {p.id} | {p.name} | {p.default:g} | {p.low:g} to {p.high:g} | {p.description} |"
    yield ""


def _fields(fields: Sequence[Field]) -> Iterator[str]:
    if not fields:
        return
    yield "| field | type | |\n|---|---|---|"
    for field in fields:
        names = ", ".join(f"{index} {name}" for index, name in enumerate(field.names))
        limits = "" if field.low is None else f"{field.low:g} to {field.high:g}"
        about = "; ".join(part for part in (field.description, names, limits) if part)
        yield f"| {field.name} | {field.type} | {about} |"
    yield ""
