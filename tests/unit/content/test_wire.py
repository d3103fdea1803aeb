"""What a sensor supplies, and single values, over the wire and back."""

import pytest

from bulkhead.v1 import channel_file_pb2, report_pb2
from content.channel_file import AddressPrefix, Signed
from content.definitions import RUNG_NUMBERS, Rung
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.supply import Supply
from content.wire import (
    problem_to_proto,
    supply_from_proto,
    supply_to_proto,
    value_from_proto,
    value_to_proto,
)
from tests.unit.content.examples import BY_NAME, NETWORK, TYPES


@pytest.mark.parametrize("rung", Rung)
def test_supply_round_trip(rung: Rung) -> None:
    """The cloud would check content against another supply than the sensor's."""
    supply = Supply.of(TYPES, rung)
    found = supply_from_proto(RUNG_NUMBERS[rung], supply_to_proto(supply))
    assert found.rung is rung
    assert dict(found.types) == dict(supply.types)


def test_supply_of_a_poorer_rung() -> None:
    """A type that the rung can't see would seem to be supplied."""
    supply = Supply.of(TYPES, Rung.PSUTIL)
    assert sorted(one.name for one in supply.types.values()) == ["network", "process"]
    assert supply.types[BY_NAME["process"].number].arity == BY_NAME["process"].arity


def test_rung_numbers_are_those_of_the_wire() -> None:
    """A sensor would seem to run on another rung."""
    assert {f"RUNG_{rung.name}": number for rung, number in RUNG_NUMBERS.items()} == {
        name: number for name, number in report_pb2.Rung.items() if number
    }


@pytest.mark.parametrize(
    ("rung", "reason"),
    [(0, Reason.UNSET_ENUM), (5, Reason.UNKNOWN_ENUM), (-1, Reason.UNKNOWN_ENUM)],
)
def test_unknown_rungs_are_refused(rung: int, reason: Reason) -> None:
    """A hello that makes no sense would bring the cloud down."""
    with pytest.raises(ContentError) as refused:
        supply_from_proto(rung, [])
    assert refused.value.problems[0].reason is reason


def test_impossible_supplies_are_refused() -> None:
    """A hello that contradicts itself would be believed."""
    messages = supply_to_proto(Supply.of(TYPES, Rung.BPF_BTF))
    with pytest.raises(ContentError, match="DUPLICATE_ID"):
        supply_from_proto(1, [messages[0], messages[0]])
    with pytest.raises(ContentError, match="LIMIT_EXCEEDED"):
        supply_from_proto(1, messages * 1000)
    for field in (0, messages[0].template_type.arity + 1):
        messages[0].supplied_fields.append(field)
        with pytest.raises(ContentError, match="FIELD_OUT_OF_RANGE"):
            supply_from_proto(1, messages)
        del messages[0].supplied_fields[-1]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("operation", 1, "unsigned"),
        ("remote_port", (1 << 64) - 1, "unsigned"),
        ("result", -115, "signed"),
        ("result", 0, "signed"),
        ("image", b"/bin/\xff", "text"),
        ("remote_address", bytes(16), "prefix"),
    ],
)
def test_inputs_of_a_detection(name: str, value: bytes | int, kind: str) -> None:
    """A detection would show other inputs than the event had."""
    field = next(field for field in NETWORK.fields if field.name == name)
    message = value_to_proto(field, value)
    assert message.WhichOneof("kind") == kind
    expected = AddressPrefix(value, 128) if kind == "prefix" and isinstance(value, bytes) else value
    assert value_from_proto(message) == expected


def test_values_keep_their_wire_kind() -> None:
    """Signed and unsigned would be mixed up, and other bytes come back."""
    signed = value_from_proto(channel_file_pb2.Value(signed=5))
    unsigned = value_from_proto(channel_file_pb2.Value(unsigned=5))
    assert signed == unsigned == 5
    assert (type(signed), type(unsigned)) == (Signed, int)
    assert value_from_proto(channel_file_pb2.Value()) is None


def test_problems_reach_the_cloud() -> None:
    """An acknowledgement would not say why."""
    message = problem_to_proto(Problem(Reason.ARITY_MISMATCH, "template_type.arity", "21", "20"))
    assert (message.reason_code, message.place) == ("ARITY_MISMATCH", "template_type.arity")
    assert (message.found, message.expected) == ("21", "20")
