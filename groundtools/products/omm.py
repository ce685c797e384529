"""Orbit Mean-Elements Messages: KVN, XML, JSON and CSV, one set or a whole catalogue.

Keywords as in CCSDS 502.0-B-3, table 4-1 to 4-3; JSON and CSV as Space-Track and CelesTrak
give them: flat objects with the same keywords. Numbers are written with all digits of a
double, epochs to the microsecond, so that a set survives any number of round trips.
"""

import csv
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable

from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from groundtools.products import kvn
from groundtools.products.ephemeris import Body
from groundtools.products.mean_elements import MeanElements

ORIGINATOR = "VINSAT"
VERSION = "2.0"  # what most readers know; 3.0 added nothing that is used here
UNKNOWN = "UNKNOWN"
_HEADER = ("CREATION_DATE", "ORIGINATOR")
_META = (
    "OBJECT_NAME", "OBJECT_ID", "CENTER_NAME", "REF_FRAME", "TIME_SYSTEM", "MEAN_ELEMENT_THEORY",
)  # fmt: skip
_MEAN = (
    "EPOCH", "MEAN_MOTION", "ECCENTRICITY", "INCLINATION", "RA_OF_ASC_NODE", "ARG_OF_PERICENTER",
    "MEAN_ANOMALY",
)  # fmt: skip
_TLE = (
    "EPHEMERIS_TYPE", "CLASSIFICATION_TYPE", "NORAD_CAT_ID", "ELEMENT_SET_NO", "REV_AT_EPOCH", "BSTAR",
    "MEAN_MOTION_DOT", "MEAN_MOTION_DDOT",
)  # fmt: skip
_IS_NUMBER = {*_MEAN[1:], "EPHEMERIS_TYPE", "ELEMENT_SET_NO", "REV_AT_EPOCH", *_TLE[5:]}
_MAX_SETS = 1_000_000


def fields_of(elements: MeanElements) -> dict[str, str]:
    """Return the keywords of one set, header left out, every value as text."""
    body = elements.body
    values: dict[str, object] = {
        "OBJECT_NAME": body.name or UNKNOWN,
        "OBJECT_ID": body.designator or UNKNOWN,
        "CENTER_NAME": "EARTH",
        "REF_FRAME": "TEME",
        "TIME_SYSTEM": "UTC",
        "MEAN_ELEMENT_THEORY": "SGP4",
        "EPOCH": elements.epoch.utc_iso(kvn.TIME_DIGITS).removesuffix("Z"),
        "MEAN_MOTION": elements.mean_motion_rev_day,
        "ECCENTRICITY": elements.eccentricity,
        "INCLINATION": elements.inclination_deg,
        "RA_OF_ASC_NODE": elements.raan_deg,
        "ARG_OF_PERICENTER": elements.argument_of_perigee_deg,
        "MEAN_ANOMALY": elements.mean_anomaly_deg,
        "EPHEMERIS_TYPE": elements.ephemeris_type,
        "CLASSIFICATION_TYPE": elements.classification,
        "NORAD_CAT_ID": body.catalog_id or "0",
        "ELEMENT_SET_NO": elements.element_set_number,
        "REV_AT_EPOCH": elements.revolution_number,
        "BSTAR": elements.bstar,
        "MEAN_MOTION_DOT": elements.mean_motion_dot,
        "MEAN_MOTION_DDOT": elements.mean_motion_ddot,
    }
    return {key: repr(float(v)) if isinstance(v, float) else str(v) for key, v in values.items()}


def elements_of(fields: dict[str, str]) -> MeanElements:
    """Return the set that keywords stand for. InputError names the keyword."""
    for key, wanted in (("MEAN_ELEMENT_THEORY", ("SGP4", "SGP/SGP4")), ("REF_FRAME", ("TEME",))):
        value = fields.get(key) or wanted[0]
        if value.upper() not in wanted:
            raise InputError(f"{value[:20]!r} is not read here", field=key, fix=f"give {wanted[0]} elements")
    if not fields.get("EPOCH"):
        raise InputError("is missing", field="EPOCH", fix="give it")
    body = Body(
        name=_known(fields.get("OBJECT_NAME")),
        designator=_known(fields.get("OBJECT_ID")),
        catalog_id=normal_id(_known(fields.get("NORAD_CAT_ID"))),
    )
    return MeanElements(
        epoch=kvn.parse_time(fields["EPOCH"], (fields.get("TIME_SYSTEM") or "UTC").upper()),
        mean_motion_rev_day=kvn.number(fields, "MEAN_MOTION"),
        eccentricity=kvn.number(fields, "ECCENTRICITY"),
        inclination_deg=kvn.number(fields, "INCLINATION"),
        raan_deg=kvn.number(fields, "RA_OF_ASC_NODE"),
        argument_of_perigee_deg=kvn.number(fields, "ARG_OF_PERICENTER"),
        mean_anomaly_deg=kvn.number(fields, "MEAN_ANOMALY"),
        bstar=kvn.number(fields, "BSTAR", 0.0),
        mean_motion_dot=kvn.number(fields, "MEAN_MOTION_DOT", 0.0),
        mean_motion_ddot=kvn.number(fields, "MEAN_MOTION_DDOT", 0.0),
        classification=(fields.get("CLASSIFICATION_TYPE") or "U")[:1],
        ephemeris_type=kvn.whole(fields, "EPHEMERIS_TYPE"),
        element_set_number=kvn.whole(fields, "ELEMENT_SET_NO"),
        revolution_number=kvn.whole(fields, "REV_AT_EPOCH"),
        body=body,
    )


def write_kvn(elements: MeanElements, *, created: Epoch) -> str:
    """Return one set as keyword = value text."""
    lines = [f"CCSDS_OMM_VERS = {VERSION}", *(f"{k} = {v}" for k, v in _header(created).items())]
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in fields_of(elements).items())]) + "\n"


def write_json(sets: tuple[MeanElements, ...]) -> str:
    """Return sets as a JSON list of flat objects; catalogue ids stay strings."""
    objects = []
    for elements in sets:
        fields = fields_of(elements)
        parts = [
            f"{json.dumps(key)}: {value if key in _IS_NUMBER else json.dumps(value, ensure_ascii=False)}"
            for key, value in fields.items()
        ]
        objects.append("  {" + ", ".join(parts) + "}")
    return "[\n" + ",\n".join(objects) + "\n]\n"


def write_csv(sets: tuple[MeanElements, ...]) -> str:
    """Return sets as CSV with the keywords as header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*_META, *_MEAN, *_TLE], lineterminator="\n")
    writer.writeheader()
    writer.writerows(fields_of(elements) for elements in sets)
    return buffer.getvalue()


def write_xml(sets: tuple[MeanElements, ...], *, created: Epoch) -> str:
    """Return sets as an NDM/XML message."""
    root = ET.Element("ndm")
    for elements in sets:
        fields = fields_of(elements)
        message = ET.SubElement(root, "omm", id="CCSDS_OMM_VERS", version=VERSION)
        _children(message, "header", _header(created), _HEADER)
        segment = ET.SubElement(ET.SubElement(message, "body"), "segment")
        _children(segment, "metadata", fields, _META)
        data = ET.SubElement(segment, "data")
        _children(data, "meanElements", fields, _MEAN)
        _children(data, "tleParameters", fields, _TLE)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def read_kvn(text: str) -> tuple[MeanElements, ...]:
    """Return the sets of one or several messages in a file."""
    messages: list[kvn.Pairs] = []
    for key, value in kvn.pairs_of(text):
        if key == "CCSDS_OMM_VERS":
            messages.append([])
        if not messages:
            raise InputError("does not begin with CCSDS_OMM_VERS", field=key)
        messages[-1].append((key, value))
    return _all(kvn.unique([pair for pair in m if not pair[0].startswith("USER_DEFINED")]) for m in messages)


def read_json(text: str) -> tuple[MeanElements, ...]:
    """Return the sets of a JSON list of flat objects, or of one object."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON ({error})") from None
    rows = data if isinstance(data, list) else [data]
    if not all(isinstance(row, dict) for row in rows):
        raise InputError("is not a list of objects", fix="give OMM JSON as Space-Track or CelesTrak do")
    return _all({str(k): "" if v is None else str(v) for k, v in row.items()} for row in rows)


def read_csv(text: str) -> tuple[MeanElements, ...]:
    """Return the sets of a CSV file with the keywords as header."""
    try:
        rows = [
            {key: value for key, value in row.items() if key is not None and isinstance(value, str)}
            for row in csv.DictReader(io.StringIO(text))
        ]
    except csv.Error as error:
        raise InputError(f"is not CSV ({error})") from None
    return _all(rows)


def read_xml(text: str) -> tuple[MeanElements, ...]:
    """Return the sets of an NDM/XML message. Document type declarations are refused."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError("declares a document type", fix="give plain NDM/XML")
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise InputError(f"is not XML ({error})") from None
    messages = [element for element in root.iter() if _tag(element) == "omm"]
    return _all(
        {_tag(leaf): leaf.text or "" for leaf in message.iter() if len(leaf) == 0} for message in messages
    )


def normal_id(text: str) -> str:
    """Return a catalogue id without leading zeros; Alpha-5 becomes digits. InputError."""
    from sgp4.alpha5 import from_alpha5

    if len(text) == 5 and text[0].isalpha() and text[1:].isdigit() and text[0].upper() not in "IO":
        return str(from_alpha5(text.upper()))
    if text and not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InputError(f"{text[:20]!r} is not up to nine digits", field="NORAD_CAT_ID")
    return text.lstrip("0")


def _all(tables: Iterable[dict[str, str]]) -> tuple[MeanElements, ...]:
    """Return the set of each table; InputError says which one is wrong."""
    sets: list[MeanElements] = []
    for fields in tables:
        try:
            sets.append(elements_of(fields))
        except InputError as error:
            field = f"element set {len(sets) + 1}, {error.field}" if error.field else ""
            raise InputError(error.problem, field=field, fix=error.fix) from None
        if len(sets) > _MAX_SETS:
            raise InputError(f"holds more than {_MAX_SETS} element sets", fix="split it")
    if not sets:
        raise InputError("holds no element set", fix="give an OMM, or a file of several")
    return tuple(sets)


def _known(text: str | None) -> str:
    return "" if text is None or text.strip().upper() in ("", UNKNOWN, "0") else text.strip()


def _header(created: Epoch) -> dict[str, str]:
    return {"CREATION_DATE": created.utc_iso(kvn.TIME_DIGITS).removesuffix("Z"), "ORIGINATOR": ORIGINATOR}


def _children(parent: ET.Element, name: str, fields: dict[str, str], keys: tuple[str, ...]) -> None:
    element = ET.SubElement(parent, name)
    for key in keys:
        ET.SubElement(element, key).text = fields[key]


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
