"""Strict loading of Channel Files and envelopes: refused for the right reason, or the same."""

import os
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.message import Message

from bulkhead.v1 import channel_file_pb2
from content.channel_file import (
    Envelope,
    Signature,
    SignatureAlgorithm,
    content_hash,
    load,
    pack,
    read_envelope,
)
from content.limits import LIMITS
from content.problems import ContentError
from content.reasons import Reason
from tests.unit.content.examples import VALUES_OF_EVERY_KIND, channel_file

PAYLOAD = pack(VALUES_OF_EVERY_KIND)
HEAD = pack(replace(VALUES_OF_EVERY_KIND, instances=()))
INSTANCE = PAYLOAD[len(HEAD) :]
UNKNOWN_FIELD = b"\xfa\x7f\x01x"  # field number 2047, one byte
ENVELOPE = Envelope(PAYLOAD, (Signature("ab" * 32, SignatureAlgorithm.ED25519, bytes(64)),))

Change = Callable[[channel_file_pb2.ChannelFile], object]


def refusal(payload: bytes) -> list[tuple[Reason, str]]:
    """Reasons and places with which the loader refuses these bytes."""
    with pytest.raises(ContentError) as refused:
        load(payload)
    return [(problem.reason, problem.place) for problem in refused.value.problems]


def changed(change: Change) -> bytes:
    """The example's payload after a change of its message."""
    message = channel_file_pb2.ChannelFile.FromString(PAYLOAD)
    change(message)
    return message.SerializeToString(deterministic=True)


def test_round_trip() -> None:
    """What is loaded would not be what was packed."""
    assert load(PAYLOAD) == VALUES_OF_EVERY_KIND
    assert pack(load(PAYLOAD)) == PAYLOAD


def test_content_hash_is_sha256_of_the_payload() -> None:
    """Content would be called by different names in cloud and sensor."""
    assert content_hash(b"").hex().startswith("e3b0c44298fc1c14")


def test_empty() -> None:
    """No bytes are a valid protobuf message, but no content."""
    assert refusal(b"") == [(Reason.EMPTY_FILE, "ChannelFile")]


def test_every_flipped_bit_is_refused_or_kept() -> None:
    """A damaged file would be read as something that its bytes don't say."""
    for position in range(8 * len(PAYLOAD)):
        damaged = bytearray(PAYLOAD)
        damaged[position // 8] ^= 1 << position % 8
        try:
            assert pack(load(bytes(damaged))) == bytes(damaged)
        except ContentError:
            continue


def test_too_large() -> None:
    """A file over the limit would be parsed."""
    assert refusal(bytes(LIMITS.payload_bytes + 1)) == [(Reason.FILE_TOO_LARGE, "ChannelFile")]


def test_a_file_at_its_limit_is_read() -> None:
    """The limit would be off by one."""
    assert refusal(bytes(LIMITS.payload_bytes))[0][0] is not Reason.FILE_TOO_LARGE


def test_what_is_no_message_is_named() -> None:
    """A damaged file would be a traceback, or nobody could say what is damaged in it."""
    assert refusal(b"\x0a\x01\xff") == [(Reason.NOT_A_CHANNEL_FILE, "ChannelFile")]
    assert refusal(HEAD + b"\x1a\x01\xff") == [(Reason.NOT_A_CHANNEL_FILE, "instances[0]")]


def test_huge_files_are_not_read(tmp_path: Path) -> None:
    """A file of 100 MB would be read whole before it is refused."""
    path = tmp_path / "huge.channel"
    path.touch()
    os.truncate(path, 100 * 1000 * 1000)
    tracemalloc.start()
    with pytest.raises(ContentError) as refused:
        read_envelope(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.problems[0].reason is Reason.FILE_TOO_LARGE
    assert peak < 3 * LIMITS.envelope_bytes


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in [value] if isinstance(value, Message) else value:
                yield from _messages(one)


def test_unknown_fields_at_every_level() -> None:
    """A field that this release doesn't know could change what content means."""
    count = len(list(_messages(channel_file_pb2.ChannelFile.FromString(PAYLOAD))))
    levels = set()
    for index in range(count):
        message = channel_file_pb2.ChannelFile.FromString(PAYLOAD)
        target = list(_messages(message))[index]
        levels.add(target.DESCRIPTOR.name)
        target.MergeFromString(UNKNOWN_FIELD)
        found = refusal(message.SerializeToString(deterministic=True))
        assert [reason for reason, _ in found] == [Reason.UNKNOWN_PROTOBUF_FIELD]
    assert levels == {
        "ChannelFile",
        "TemplateTypeReference",
        "SchemaVersion",
        "TemplateInstance",
        "Clause",
        "Criterion",
        "Value",
        "AddressPrefix",
        "Sample",
        "FieldInput",
    }


def test_unknown_fields_are_named_with_their_place() -> None:
    """An author could not find what is refused."""
    message = channel_file_pb2.ChannelFile.FromString(PAYLOAD)
    criterion = message.instances[0].clauses[1].criteria[0]
    criterion.MergeFromString(UNKNOWN_FIELD)
    with pytest.raises(ContentError) as refused:
        load(message.SerializeToString(deterministic=True))
    problem = refused.value.problems[0]
    assert problem.place == "instances[0].clauses[1].criteria[0]"
    assert problem.found == "field number 2047"


def test_many_unknown_fields_are_limited() -> None:
    """A hostile file could make the sensor report without end."""
    assert len(refusal(PAYLOAD + UNKNOWN_FIELD * 1000)) == LIMITS.problems


def test_many_unknown_fields_in_several_instances_are_limited() -> None:
    """What each instance may report would add up."""
    message = channel_file_pb2.ChannelFile.FromString(PAYLOAD)
    message.instances.extend([message.instances[0]] * 2)
    for instance in message.instances:
        instance.MergeFromString(UNKNOWN_FIELD * (LIMITS.problems - 1))
    payload = message.SerializeToString(deterministic=True)
    assert len(refusal(payload)) == LIMITS.problems


@pytest.mark.parametrize(
    "payload",
    [
        PAYLOAD + b"\x10\x07",  # the version again
        b"\x10\x07" + PAYLOAD.replace(b"\x10\x07", b"", 1),  # fields in another order
        PAYLOAD.replace(b"\x10\x07", b"\x10\x87\x00", 1),  # a number longer than it need be
        pack(channel_file(version=0)) + b"\x10\x00",  # a default written out
        INSTANCE + HEAD,  # the instance first
        HEAD + b"\x9a\x00" + INSTANCE[1:],  # the instance's tag longer than it need be
    ],
)
def test_bytes_are_canonical(payload: bytes) -> None:
    """The same content could have many hashes, and hide from a quarantine by hash."""
    assert refusal(payload) == [(Reason.NOT_CANONICAL, "ChannelFile")]


def test_an_instance_that_is_not_canonical_is_named() -> None:
    """Nobody could tell which of a thousand instances was packed by another program."""
    body = channel_file_pb2.ChannelFile.FromString(PAYLOAD).instances[0].SerializeToString()
    twice = body + body  # The last of what is there twice counts.
    length = bytes([len(twice) & 0x7F | 0x80, len(twice) >> 7])
    assert refusal(PAYLOAD + INSTANCE[:1] + length + twice) == [
        (Reason.NOT_CANONICAL, "instances[1]")
    ]


def _clear_value(message: channel_file_pb2.ChannelFile) -> None:
    message.instances[0].clauses[0].criteria[0].values[0].ClearField("unsigned")


def _clear_input(message: channel_file_pb2.ChannelFile) -> None:
    message.instances[0].samples[0].inputs[0].ClearField("value")


def _repeat_input(message: channel_file_pb2.ChannelFile) -> None:
    inputs = message.instances[0].samples[0].inputs
    inputs.append(inputs[0])


def _set(path: str, value: int) -> Change:
    """Set a number such as instances.0.severity."""

    def change(message: channel_file_pb2.ChannelFile) -> None:
        target: object = message
        *steps, last = path.split(".")
        for step in steps:
            target = target[int(step)] if step.isdigit() else getattr(target, step)  # type: ignore[index]
        setattr(target, last, value)

    return change


CRITERION = "instances.0.clauses.0.criteria.0"


@pytest.mark.parametrize(
    ("change", "reason", "place"),
    [
        (_set("instances.0.disposition", 0), Reason.UNSET_ENUM, "instances[0].disposition"),
        (_set("instances.0.disposition", 4), Reason.UNKNOWN_ENUM, "instances[0].disposition"),
        (_set("instances.0.severity", 0), Reason.UNSET_ENUM, "instances[0].severity"),
        (_set("instances.0.severity", -1), Reason.UNKNOWN_ENUM, "instances[0].severity"),
        (
            _set(f"{CRITERION}.operator", 0),
            Reason.UNSET_ENUM,
            "instances[0].clauses[0].criteria[0].operator",
        ),
        (
            _set(f"{CRITERION}.operator", 13),
            Reason.UNKNOWN_ENUM,
            "instances[0].clauses[0].criteria[0].operator",
        ),
        (_clear_value, Reason.BLANK_VALUE, "instances[0].clauses[0].criteria[0].values[0]"),
        (_clear_input, Reason.BLANK_VALUE, "instances[0].samples[0].inputs[0].value"),
        (_repeat_input, Reason.DUPLICATE_INPUT, "instances[0].samples[0].inputs[4]"),
        (
            lambda message: message.ClearField("template_type"),
            Reason.NOT_A_CHANNEL_FILE,
            "template_type",
        ),
        (
            lambda message: message.template_type.ClearField("schema_version"),
            Reason.NOT_A_CHANNEL_FILE,
            "template_type.schema_version",
        ),
    ],
)
def test_nothing_is_defaulted(change: Change, reason: Reason, place: str) -> None:
    """What an author forgot, or what a newer release means, would be guessed."""
    assert refusal(changed(change)) == [(reason, place)]


def _many(path: str, count: int) -> Change:
    def change(message: channel_file_pb2.ChannelFile) -> None:
        target: object = message
        for step in path.split("."):
            target = target[int(step)] if step.isdigit() else getattr(target, step)  # type: ignore[index]
        target.extend([target[0]] * (count - len(target)))  # type: ignore[attr-defined, index, arg-type]

    return change


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("instances", LIMITS.instances),
        ("instances.0.clauses", LIMITS.clauses_per_instance),
        ("instances.0.clauses.0.criteria", LIMITS.criteria_per_clause),
        (f"{CRITERION}.values", LIMITS.values_per_criterion),
        ("instances.0.samples", LIMITS.samples_per_instance),
    ],
)
def test_counts_are_checked_before_anything_is_built(path: str, limit: int) -> None:
    """A small file of many empty items could fill the memory."""
    if path != "instances":  # 20,000 copies of the example are over other limits
        load(changed(_many(path, limit)))
    reasons = [reason for reason, _ in refusal(changed(_many(path, limit + 1)))]
    assert reasons == [Reason.LIMIT_EXCEEDED]


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("attack_techniques", LIMITS.attack_techniques_per_instance),
        ("false_positives", LIMITS.false_positives_per_instance),
        ("references", LIMITS.references_per_instance),
    ],
)
def test_lists_of_texts_are_counted(name: str, limit: int) -> None:
    """A small file of many empty texts could fill the memory."""

    def fill(count: int) -> Change:
        def change(message: channel_file_pb2.ChannelFile) -> None:
            texts = getattr(message.instances[0], name)
            texts.extend(["x"] * (count - len(texts)))

        return change

    load(changed(fill(limit)))
    assert refusal(changed(fill(limit + 1))) == [(Reason.LIMIT_EXCEEDED, f"instances[0].{name}")]


def test_all_criteria_and_values_are_counted() -> None:
    """Many instances that are each within the limits could still fill the memory."""
    message = channel_file_pb2.ChannelFile.FromString(PAYLOAD)
    instance = message.instances[0]
    clause = channel_file_pb2.Clause(
        criteria=[channel_file_pb2.Criterion(field=1, operator=channel_file_pb2.OPERATOR_EXISTS)]
        * LIMITS.criteria_per_clause
    )
    instance.clauses.extend([clause] * (LIMITS.clauses_per_instance - 2))
    per_instance = LIMITS.criteria_per_clause * (LIMITS.clauses_per_instance - 2)
    message.instances.extend([instance] * (LIMITS.criteria_total // per_instance))
    found = refusal(message.SerializeToString(deterministic=True))
    assert {reason for reason, _ in found} == {Reason.LIMIT_EXCEEDED}

    message = channel_file_pb2.ChannelFile.FromString(PAYLOAD)
    values = [channel_file_pb2.Value(text=b"x")] * LIMITS.values_per_criterion
    criterion = channel_file_pb2.Criterion(
        field=1, operator=channel_file_pb2.OPERATOR_EQUALS, values=values
    )
    clause = channel_file_pb2.Clause(criteria=[criterion] * LIMITS.criteria_per_clause)
    message.instances[0].clauses.extend([clause] * 3)
    per_instance = 3 * LIMITS.criteria_per_clause * LIMITS.values_per_criterion
    message.instances.extend([message.instances[0]] * (LIMITS.values_total // per_instance))
    found = refusal(message.SerializeToString(deterministic=True))
    assert {reason for reason, _ in found} == {Reason.LIMIT_EXCEEDED}
    assert found[0][1].endswith(".values")


def test_totals_at_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits would be off by one: the example has 6 criteria and 7 values."""
    for criteria, values, refused in ((6, 7, False), (5, 7, True), (6, 6, True)):
        limits = replace(LIMITS, criteria_total=criteria, values_total=values)
        monkeypatch.setattr("content.wire_reader.LIMITS", limits)
        if refused:
            assert refusal(PAYLOAD)[0][0] is Reason.LIMIT_EXCEEDED
        else:
            assert load(PAYLOAD) == VALUES_OF_EVERY_KIND


def test_all_problems_at_once() -> None:
    """An author would correct one mistake per run."""

    def change(message: channel_file_pb2.ChannelFile) -> None:
        _set("instances.0.severity", 0)(message)
        _set(f"{CRITERION}.operator", 99)(message)
        _clear_input(message)

    assert len(refusal(changed(change))) == 3
