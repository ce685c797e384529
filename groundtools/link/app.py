"""Speak with a payload: commands, telemetry, files both ways, keys.

Addresses are tcp:HOST:PORT or serial:DEVICE[:BAUD]. Commands need the payload's key file;
the counter of the last one is kept beside it. Exit codes: 0 done, 2 usage, 3 refused or
bad input, 6 no answer.
"""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import Progress

from flightsw.astro.time import Epoch
from flightsw.errors import EXIT_INPUT, EXIT_OK, UsageError, VinsatError
from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.link.commands import Outcome
from flightsw.runtime.link.fields import CODES, Field, Value, decode_fields
from groundtools.link.client import Answer, Credentials, Ground, Received, new_keys, write_keys
from groundtools.link.documents import dictionary_page
from groundtools.link.streams import open_stream
from groundtools.link.transfer import get_file, put_file
from groundtools.link.xtce import xtce_text

HELP = """Speak with a payload: commands, telemetry, files, keys.

For example:

`vinsat link keys --out keys`

`vinsat link listen --to tcp:127.0.0.1:7070 --record pass.bin`

`vinsat link send SET_MODE mode=SAFE --to tcp:127.0.0.1:7070 --keys keys`
"""
app = App(name="link", help=HELP)

To = Annotated[str, Parameter(help="Where the payload is: tcp:HOST:PORT or serial:DEVICE[:BAUD].")]
KeyFile = Annotated[Path, Parameter(name="--keys", help="The payload's key file.")]
Record = Annotated[Path | None, Parameter(help="Keep all that comes at the end of this file.")]
console = Console(highlight=False)


@app.command
def send(command: str, *arguments: str, to: To, keys: KeyFile = Path("keys"), slot: int = 0) -> int:
    """Have one command carried out: `send SET_PARAMETER parameter=image_period_s value=5`."""
    with _ground(to, keys, slot) as ground:
        return _say(ground.command(command, **parse_arguments(command, arguments)), command)


@app.command
def listen(*, to: To, seconds: float = 60.0, record: Record = None) -> int:
    """Print telemetry as it comes; `vinsat ground ingest` makes products of what was recorded."""
    ground = Ground(open_stream(to, record), None)
    try:
        for packet in ground.packets(seconds):
            console.print(line_of(packet), markup=False, soft_wrap=True)
        lost = ", ".join(f"{name} {count}" for name, count in ground.gaps.items())
        console.print(f"lost on the way: {lost or 'none'}; frames that were none: {ground.broken}")
    finally:
        ground.close()
    return EXIT_OK


@app.command(name="console")
def talk(*, to: To, keys: KeyFile = Path("keys"), slot: int = 0) -> int:
    """Type commands, see telemetry; an empty line listens, `quit` ends."""
    with _ground(to, keys, slot) as ground:
        while True:
            for packet in ground.packets(0.5):
                console.print(line_of(packet), markup=False, soft_wrap=True)
            console.print("> ", end="")
            words = shlex.split(sys.stdin.readline() or "quit")
            if words[:1] == ["quit"]:
                return EXIT_OK
            if words:
                _one(ground, words)


@app.command
def sync(*, to: To, keys: KeyFile = Path("keys"), slot: int = 0) -> int:
    """Bring the ground's and the payload's command counters together."""
    with _ground(to, keys, slot) as ground:
        return _say(ground.sync())


@app.command
def rotate(key: int, *, to: To, keys: KeyFile = Path("keys")) -> int:
    """Give key slot 0 or 1 a new key, under the authority of the other."""
    with _ground(to, keys, 1 - key) as ground:
        return _say(ground.rotate_key(key))


@app.command
def files(*, to: To, keys: KeyFile = Path("keys"), slot: int = 0) -> int:
    """List the files that can be brought down."""
    with _ground(to, keys, slot) as ground:
        first, total = 0, 1
        while first < total:
            answer = ground.command("LIST_FILES", first=first)
            total = int.from_bytes(answer.data, "big")
            found = [packet for packet in ground.packets(1.5) if packet.name == "FILE"]
            for packet in found:
                console.print(f"{packet.values['size_bytes']!s:>10} {packet.values['file']!s}", markup=False)
            if not found:
                break
            first = int(found[-1].values["position"]) + 1
    return EXIT_OK


@app.command
def get(
    name: str,
    *,
    to: To,
    keys: KeyFile = Path("keys"),
    slot: int = 0,
    out: Path = Path("."),
    record: Record = None,
) -> int:
    """Bring a file down; run again, it goes on where it stopped."""
    with _ground(to, keys, slot, record) as ground, Progress(console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)
        path = get_file(
            ground, name, out, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    console.print(str(path), markup=False)
    return EXIT_OK


@app.command
def put(path: Path, *, to: To, keys: KeyFile = Path("keys"), slot: int = 0) -> int:
    """Send a file into the set of models not in use; `send ACTIVATE_MODELS` then uses the set."""
    with _ground(to, keys, slot) as ground, Progress(console=console, transient=True) as bar:
        task = bar.add_task(path.name, total=None)
        put_file(
            ground,
            path,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    return EXIT_OK


@app.command
def keys(*, out: Path) -> int:
    """Make a key file: two random keys that only its owner may read."""
    if out.exists():
        raise UsageError(f"{out}: is there already; remove it, or name another")
    write_keys(out, new_keys())
    return EXIT_OK


@app.command
def xtce(*, out: Path) -> int:
    """Write the telemetry as XTCE, for Yamcs and other ground systems."""
    out.write_text(xtce_text(), encoding="utf-8")
    return EXIT_OK


@app.command
def page(*, out: Path) -> int:
    """Write the dictionary as a page: commands, telemetry, events, parameters."""
    out.write_text(dictionary_page(), encoding="utf-8")
    return EXIT_OK


def parse_arguments(command: str, words: tuple[str, ...]) -> dict[str, Value]:
    """Return the arguments of a command from words `name=value`. Raises UsageError."""
    entry = dic.command(command)
    if entry is None:
        names = ", ".join(one.name for one in dic.dictionary().command)
        raise UsageError(f"{command} is no command; there are {names}")
    fields = {field.name: field for field in entry.argument}
    values: dict[str, Value] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name not in fields:
            wanted = " ".join(f"{field.name}={field.type}" for field in entry.argument)
            raise UsageError(f"{word!r} is no argument; {command} takes {wanted or 'none'}")
        values[name] = _value(fields[name], text)
    return values


def line_of(packet: Received) -> str:
    """Return a packet as one line."""
    entry = dic.telemetry(packet.name)
    assert entry is not None
    shown = []
    for field in entry.field:
        value = field.named(packet.values[field.name])
        if packet.name == "EVENT" and field.name == "event" and (known := dic.event(int(value))) is not None:
            value = known.name
        if isinstance(value, bytes):
            value = value[:16].hex() + ("..." if len(value) > 16 else "")
        shown.append(f"{field.name}={value:g}" if isinstance(value, float) else f"{field.name}={value}")
    return f"{Epoch(packet.tai_ns).utc_iso(3)} {packet.name} {packet.count} {' '.join(shown)}"


def _value(field: Field, text: str) -> Value:
    if field.name == "parameter" and (known := dic.parameter(text)) is not None:
        return known.id
    if field.names and text in field.names:
        return text
    try:
        if field.type in CODES:
            return float(text) if field.type[0] == "f" else int(text, 0)
        return text if field.type.startswith("text") else bytes.fromhex(text)
    except ValueError:
        raise UsageError(f"{field.name}: {text!r} is no {field.type}") from None


@contextmanager
def _ground(to: str, keys: Path, slot: int, record: Path | None = None) -> Iterator[Ground]:
    if slot not in (0, 1):
        raise UsageError(f"--slot: {slot} is no key slot; give 0 or 1")
    ground = Ground(open_stream(to, record), Credentials(keys), slot=slot)
    try:
        yield ground
    finally:
        ground.close()


def _one(ground: Ground, words: list[str]) -> None:
    """Carry out one line of the console; a mistake is said and the console goes on."""
    try:
        _say(ground.command(words[0], **parse_arguments(words[0], tuple(words[1:]))), words[0])
    except VinsatError as error:
        console.print(str(error), markup=False)


def reply_text(command: str, data: bytes) -> str:
    """Return the data of a reply as `name=value`, or in hexadecimal digits where they are free."""
    entry = dic.command(command)
    values = decode_fields(entry.reply, data) if entry is not None and entry.reply else None
    if values is None:
        return data.hex()
    return " ".join(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value!s}"
                    for name, value in values.items())  # fmt: skip


def _say(answer: Answer, command: str = "") -> int:
    shown = answer.text if answer.outcome is Outcome.REFUSED else reply_text(command, answer.data)
    repeat = " (a repeat)" if answer.is_repeat else ""
    console.print(f"{answer.outcome.name}{repeat} {shown}".rstrip(), markup=False)
    return EXIT_OK if answer.outcome is Outcome.DONE else EXIT_INPUT
