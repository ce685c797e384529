"""The telemetry as XTCE (OMG 1.2), so that Yamcs and other ground systems can attach.

One abstract container holds the primary header and the time; one container for each
packet extends it where the APID is its own. Commands are authenticated, which XTCE cannot
say, so they are sent by `vinsat link`.
"""

import xml.etree.ElementTree as ET

from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.link.fields import CODES, Field

NAMESPACE = "http://www.omg.org/spec/XTCE/20180204"
HEADER = (
    ("VERSION", 3), ("TYPE", 1), ("SEC_HDR_FLG", 1), ("PKT_APID", 11), ("SEQ_FLGS", 2),
    ("SRC_SEQ_CTR", 14), ("PKT_LEN", 16),
)  # fmt: skip
CRC = "PACKET_ERROR_CONTROL"
OVERHEAD = 10  # of PKT_LEN + 1: time and CRC; the rest are the fields


def xtce_text() -> str:
    """Return the XTCE document."""
    ET.register_namespace("xtce", NAMESPACE)
    root = _element(None, "SpaceSystem", name="vinsat")
    telemetry = _element(root, "TelemetryMetaData")
    types = _element(telemetry, "ParameterTypeSet")
    parameters = _element(telemetry, "ParameterSet")
    containers = _element(telemetry, "ContainerSet")
    _header(types, parameters, containers)
    for entry in dic.dictionary().telemetry:
        container = _element(
            containers, "SequenceContainer", name=entry.name, shortDescription=entry.description
        )
        listed = _element(container, "EntryList")
        fixed = sum(field.size or 0 for field in entry.field)
        for field in entry.field:
            name = f"{entry.name}_{field.name}"
            _type(types, field, name, fixed)
            _parameter(parameters, name, field.description)
            _element(listed, "ParameterRefEntry", parameterRef=name)
        _element(listed, "ParameterRefEntry", parameterRef=CRC)
        base = _element(container, "BaseContainer", containerRef="CCSDS_TELEMETRY")
        criteria = _element(base, "RestrictionCriteria")
        both = _element(criteria, "ComparisonList")
        _element(
            both, "Comparison", parameterRef="PKT_APID", value=str(entry.apid), useCalibratedValue="false"
        )
        _element(both, "Comparison", parameterRef="TYPE", value="0", useCalibratedValue="false")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _header(types: ET.Element, parameters: ET.Element, containers: ET.Element) -> None:
    container = _element(containers, "SequenceContainer", name="CCSDS_TELEMETRY", abstract="true")
    listed = _element(container, "EntryList")
    for name, bits in (*HEADER, ("TIME_TAI_NS", 64), (CRC, 16)):
        kind = _element(types, "IntegerParameterType", name=f"{name}_T", signed=str(bits == 64).lower())
        encoding = "twosComplement" if bits == 64 else "unsigned"
        _element(kind, "IntegerDataEncoding", sizeInBits=str(bits), encoding=encoding)
        _parameter(parameters, name, "")
        if name != CRC:  # it ends each packet
            _element(listed, "ParameterRefEntry", parameterRef=name)


def _type(types: ET.Element, field: Field, name: str, fixed: int) -> None:
    """Add the type of a field. fixed : bytes of the packet's other fields."""
    if field.names:
        kind = _element(types, "EnumeratedParameterType", name=f"{name}_T")
        _number(kind, field)
        entries = _element(kind, "EnumerationList")
        for value, label in enumerate(field.names):
            _element(entries, "Enumeration", value=str(value), label=label)
    elif field.type in CODES:
        is_float = field.type[0] == "f"
        tag = "FloatParameterType" if is_float else "IntegerParameterType"
        more = {} if is_float else {"signed": str(field.type[0] == "i").lower()}
        kind = _element(types, tag, name=f"{name}_T", **more)
        unit = _unit(field.name)
        if unit:
            _element(_element(kind, "UnitSet"), "Unit").text = unit
        _number(kind, field)
    else:
        _blob(types, field, name, fixed)


def _number(kind: ET.Element, field: Field) -> None:
    bits = str(8 * (field.size or 0))
    if field.type[0] == "f":
        _element(kind, "FloatDataEncoding", sizeInBits=bits, encoding="IEEE754_1985")
    else:
        encoding = "twosComplement" if field.type[0] == "i" else "unsigned"
        _element(kind, "IntegerDataEncoding", sizeInBits=bits, encoding=encoding)


def _blob(types: ET.Element, field: Field, name: str, fixed: int) -> None:
    """Add a text or bytes; what ends a packet is as long as the header says, less the rest."""
    if field.type.startswith("text"):
        kind = _element(types, "StringParameterType", name=f"{name}_T")
        size = _element(
            _element(kind, "StringDataEncoding", encoding="UTF-8"), "SizeInBits"
        )  # zero-padded, fixed
        _element(_element(size, "Fixed"), "FixedValue").text = str(8 * (field.size or 0))
        return
    kind = _element(types, "BinaryParameterType", name=f"{name}_T")
    size = _element(_element(kind, "BinaryDataEncoding"), "SizeInBits")
    if field.size is not None:
        _element(size, "FixedValue").text = str(8 * field.size)
        return
    dynamic = _element(size, "DynamicValue")
    _element(dynamic, "ParameterInstanceRef", parameterRef="PKT_LEN", useCalibratedValue="false")
    intercept = 8 - 8 * (OVERHEAD + fixed)
    _element(dynamic, "LinearAdjustment", slope="8", intercept=str(intercept))


def _parameter(parameters: ET.Element, name: str, description: str) -> None:
    more = {"shortDescription": description} if description else {}
    _element(parameters, "Parameter", name=name, parameterTypeRef=f"{name}_T", **more)


def _unit(name: str) -> str:
    """Return the unit in a field's name, "" where there is none."""
    endings = {
        "_rad_s": "rad/s", "_m_s": "m/s", "_m": "m", "_s": "s", "_bytes": "bytes", "_mb": "MB",
        "_celsius": "degC", "_tai_ns": "ns",
    }  # fmt: skip
    return next((unit for ending, unit in endings.items() if name.endswith(ending)), "")


def _element(parent: ET.Element | None, tag: str, **attributes: str) -> ET.Element:
    name = f"{{{NAMESPACE}}}{tag}"
    return ET.Element(name, attributes) if parent is None else ET.SubElement(parent, name, attributes)
