"""One line per detection: named, ASCII, and nothing that an attacker chose gets out of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.link.rendering import Renderer
from bulkhead.v1 import channel_file_pb2, report_pb2
from content.definitions import load_definitions

RENDERER = Renderer(load_definitions())
NETWORK, REMOTE_ADDRESS = 3, 3
Value = channel_file_pb2.Value


def inputs(template_type: int, *values: tuple[int, Value]) -> dict[str, object]:
    """The inputs of a detection as the log shows them."""
    detection = report_pb2.Detection(
        template_type=template_type,
        inputs=[channel_file_pb2.FieldInput(field=number, value=value) for number, value in values],
    )
    shown = json.loads(RENDERER.line(detection))["inputs"]
    assert isinstance(shown, dict)
    return shown


def address(value: bytes, length: int) -> Value:
    """An address as detections carry it."""
    return Value(prefix=channel_file_pb2.AddressPrefix(address=value, length=length))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (address(bytes([192, 0, 2, 7]), 32), "192.0.2.7"),
        (address(bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7]), 128), "192.0.2.7"),
        (address(bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 0]), 120), "192.0.2.0/24"),
        (address(b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01", 128), "2001:db8::1"),
        (address(b"\x20\x01\x0d\xb8" + bytes(12), 32), "2001:db8::/32"),
        (address(b"abc", 9), "616263/9"),
        (address(b"", 0), "/0"),
    ],
)
def test_addresses_are_shown_as_addresses(value: Value, shown: str) -> None:
    """Whoever reads the log has to decode addresses from bytes, or reads a wrong one."""
    assert inputs(NETWORK, (REMOTE_ADDRESS, value)) == {"remote_address": shown}


def test_values_have_the_names_of_the_definition() -> None:
    """A field or an enum value is shown under another's name."""
    shown = inputs(
        NETWORK,
        (1, Value(unsigned=3)),
        (2, Value(unsigned=99)),
        (7, Value(signed=-115)),
        (4, Value(unsigned=2**64 - 1)),
        (8, Value(text=b"/bin/nc")),
        (9, Value()),
    )
    assert shown == {
        "operation": "accept",
        "family": 99,
        "result": -115,
        "remote_port": 2**64 - 1,
        "image": "/bin/nc",
        "command_line": None,
    }


def test_what_no_definition_knows_is_shown_by_number() -> None:
    """A detection of a type or field that is not ours ends the link or is left out."""
    detection = report_pb2.Detection(
        id="x", template_type=99, time_unix_ns=-(2**63), truncated_fields=[2, 77]
    )
    detection.inputs.add(field=77).value.text = b"v"
    detection.MergeFromString(b"\x40\x2a")  # severity 42, which no enum has
    document = json.loads(RENDERER.line(detection))
    assert document["template_type"] == 99
    assert document["inputs"] == {"field_77": "v"}
    assert document["truncated"] == ["field_2", "field_77"]
    assert document["severity"] == 42
    assert document["time"] == "1677-09-21T00:12:43.145224192Z"


def test_truncated_fields_are_named() -> None:
    """A value that is cut short is taken for the whole."""
    detection = report_pb2.Detection(template_type=1, truncated_fields=[2])
    assert RENDERER.document(detection)["truncated"] == ["command_line"]


@given(st.binary(max_size=300), st.text(max_size=100))
def test_any_value_stays_on_its_line(raw: bytes, title: str) -> None:
    """Some byte ends the line, or drives the terminal of whoever reads it."""
    title = title.encode("utf-8", "replace").decode("utf-8")
    detection = report_pb2.Detection(id="a\nb", title=title, template_type=1)
    detection.inputs.add(field=1).value.text = raw
    line = RENDERER.line(detection)
    assert line.isascii()
    assert line.endswith(b"\n")
    assert line[:-1].decode().isprintable()
    document = json.loads(line)
    assert document["id"] == "a\\x0ab"
    assert "\n" not in document["title"] + document["inputs"]["image"]
