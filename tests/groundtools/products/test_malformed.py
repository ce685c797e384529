"""Whatever happens to a file on its way, reading it ends in a value or in one clear line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flightsw.errors import InputError
from groundtools.products import formats, oem, omm, opm, sp3, tle

from .conftest import table

MUTATIONS = 1000
PIECES = (
    "", " ", "\n", "=", "-", "nan", "inf", "1e999", "9" * 30, "\0", "é", "2016-12-31T23:59:60", "]", "{", "<",
    ",", "null", "True", "E", "\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT ONE}",
)  # fmt: skip
FILES: dict[str, Callable] = {
    "orbit.oem": lambda e: oem.write_oem(table(e, count=6)),
    "state.opm": lambda e: opm.write_opm(table(e, count=3)),
    "sat.omm": lambda e: omm.write_kvn(e, created=e.epoch),
    "sat.json": lambda e: omm.write_json((e, e)),
    "sat.xml": lambda e: omm.write_xml((e,), created=e.epoch),
    "sat.csv": lambda e: omm.write_csv((e, e)),
    "sat.tle": tle.write_tle,
    "orbit.sp3": lambda e: sp3.write_sp3(table(e, count=4)),
    "ephemeris.csv": lambda e: formats.write_csv(table(e, count=4)),
}


def mutated(text: str, rng: np.random.Generator) -> str:
    """Return the text with one to three wounds: cut, doubled, replaced, or lines exchanged."""
    for _ in range(int(rng.integers(1, 4))):
        kind, at = int(rng.integers(6)), int(rng.integers(len(text) + 1))
        end = min(len(text), at + int(rng.integers(1, 20)))
        piece = str(rng.choice(PIECES))
        if kind == 0:
            text = text[:at] + piece + text[end:]
        elif kind == 1:
            text = text[:at] + text[end:]
        elif kind == 2:
            text = text[:at] + text[at:end] * 2 + text[end:]
        elif kind == 3:
            text = text[:at]
        elif kind == 4:
            lines = text.splitlines(keepends=True)
            i, j = rng.integers(len(lines), size=2) if lines else (0, 0)
            if lines:
                lines[i], lines[j] = lines[j], lines[i]
            text = "".join(lines)
        else:
            text = text[:at] + piece + text[at:]
    return text


def refusal(path: Path) -> str:
    """Return the message with which a file is refused; empty if it is read."""
    try:
        formats.load(path)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.verifies("PRD-006")
@pytest.mark.parametrize("name", FILES)
def test_a_wounded_file_ends_in_a_value_or_in_a_message(name, elements, tmp_path, rng):
    whole = FILES[name](elements)
    path = tmp_path / name
    refused = 0
    for _ in range(MUTATIONS):
        path.write_text(mutated(whole, rng), encoding="utf-8")
        message = refusal(path)
        refused += bool(message)
        assert not message or (message.startswith(str(path)) and "\n" not in message)
        assert len(message) < 600
    assert refused > MUTATIONS // 10  # the wounds are felt
