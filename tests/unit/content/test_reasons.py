"""Reason codes: each is reached by content that deserves it, explained, and in the reference."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import thread_time_ns

import numpy as np
import pytest

from agent.evaluator.leaving_out import leave_out
from agent.evaluator.trial import refused
from bulkhead.v1 import channel_file_pb2
from content import interface_cases
from content.advice import warnings_of
from content.channel_file import AddressPrefix, Operator, Signed, load, pack
from content.checking import check
from content.definitions import Rung, load_definitions
from content.instance_digest import instance_digests
from content.interpreter import Interpreter
from content.limits import LIMITS
from content.matching.column import TextColumn
from content.matching.default_matcher import build_default
from content.matching.matcher import Hits, MatcherFactory
from content.matching.pattern import Pattern
from content.model import Clause, Criterion, Disposition
from content.problems import ContentError, Problem
from content.reasons import EXPLANATIONS, Reason
from content.record import encode
from content.recorded_events_reader import load as load_recording
from content.reference import pages, reason_codes_page, template_type_page
from content.samples import check as check_samples
from content.template_type import TemplateType
from tests.unit.content.examples import (
    COMMAND_LINE,
    IMAGE,
    INSTANCE,
    MATCHING,
    OTHER,
    PID,
    PROCESS,
    THREAD_ID,
    TYPES,
    VALUES_OF_EVERY_KIND,
    YAML,
    channel_file,
    problems_of,
    reference,
    with_criterion,
    with_instance,
)

DOCUMENTATION = Path(__file__).parents[3] / "docs"


def bytes_problems(payload: bytes) -> Sequence[Problem]:
    """What the loader says of bytes."""
    with pytest.raises(ContentError) as refused:
        load(payload)
    return refused.value.problems


def yaml_problems(old: str, new: str) -> Sequence[Problem]:
    """What the author's check says of good YAML after a change."""
    assert old in YAML
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.yaml"
        path.write_text(YAML.replace(old, new, 1))
        return check([path], TYPES, Rung.BPF_BTF).problems


def definition_problems() -> Sequence[Problem]:
    """What is said of a folder without Definitions."""
    with tempfile.TemporaryDirectory() as folder, pytest.raises(ContentError) as refused:
        load_definitions(Path(folder))
    return refused.value.problems


def message_problems(change: Callable[[channel_file_pb2.ChannelFile], object]) -> Sequence[Problem]:
    """What the loader says of a good message after a change."""
    message = channel_file_pb2.ChannelFile.FromString(pack(VALUES_OF_EVERY_KIND))
    change(message)
    return bytes_problems(message.SerializeToString(deterministic=True))


def reference_problems(**changes: object) -> Sequence[Problem]:
    """What the validator says of content for a changed Template Type."""
    changed = replace(reference(PROCESS), **changes)  # type: ignore[arg-type]
    return problems_of(replace(channel_file(), template_type=changed))


def _without_content(_files: object, types: Mapping[int, TemplateType]) -> Interpreter:
    return Interpreter([], types)


def recording_problems() -> Sequence[Problem]:
    """What is said of a file that is no recording."""
    with pytest.raises(ContentError) as caught:
        load_recording(Path(__file__), TYPES)
    return caught.value.problems


class BrokenMatcher:
    """Reports a row that does not exist."""

    def __init__(self, _patterns: Sequence[Pattern]) -> None:
        pass

    def search(self, _column: TextColumn) -> Hits:
        """A hit behind the batch."""
        return Hits(np.array([100_000]), np.array([0]), np.array([], dtype=np.int64))


def fault_problems(
    matcher: MatcherFactory, clock: Callable[[], int] = thread_time_ns
) -> Sequence[Problem]:
    """What is said of an instance that is skipped at run time."""
    clause = Clause(
        (
            Criterion(IMAGE, Operator.ENDS_WITH, (b"/sh",)),
            Criterion(IMAGE, Operator.GLOB, (b"*",), negated=True),
        )
    )
    content = channel_file(replace(INSTANCE, clauses=(clause,)))
    engine = Interpreter([content], TYPES, matcher=matcher, clock=clock)
    batch = np.repeat(encode(PROCESS, {IMAGE: b"/bin/sh"}, rung=Rung.BPF_BTF), 1000)
    return [refused(fault) for fault in engine.evaluate(PROCESS, batch).faults]


def left_out_problems() -> Sequence[Problem]:
    """What is said of an instance in quarantine."""
    file = channel_file(INSTANCE)
    (digest,) = instance_digests(pack(file), file)
    return [refused(fault) for fault in leave_out(pack(file), file, {digest.hex()}).left_out]


def warnings(operator: Operator, value: bytes) -> Sequence[Problem]:
    """What is warned of in content with one criterion on the command line."""
    return warnings_of(with_criterion(COMMAND_LINE, operator, value), PROCESS)


def _repeat_input(message: channel_file_pb2.ChannelFile) -> None:
    inputs = message.instances[0].samples[0].inputs
    inputs.append(inputs[0])


REACHED: dict[Reason, Callable[[], Sequence[Problem]]] = {
    Reason.DEFINITION_INVALID: definition_problems,
    Reason.EMPTY_FILE: lambda: bytes_problems(b""),
    Reason.FILE_TOO_LARGE: lambda: bytes_problems(bytes(LIMITS.payload_bytes + 1)),
    Reason.NOT_A_CHANNEL_FILE: lambda: bytes_problems(b"\xff"),
    Reason.UNKNOWN_PROTOBUF_FIELD: lambda: bytes_problems(pack(channel_file()) + b"\xfa\x7f\x00"),
    Reason.NOT_CANONICAL: lambda: bytes_problems(pack(channel_file()) + b"\x10\x01"),
    Reason.NOT_A_RECORDING: recording_problems,
    Reason.NOT_YAML: lambda: yaml_problems("id: any", "id: [any"),
    Reason.YAML_NOT_PLAIN: lambda: yaml_problems("id: any", "id: &any any"),
    Reason.DUPLICATE_KEY: lambda: yaml_problems("id: any-shell", "id: a\nid: b"),
    Reason.UNKNOWN_KEY: lambda: yaml_problems("id: any-shell", "id: a\nidea: b"),
    Reason.MISSING_KEY: lambda: yaml_problems("id: any-shell\n", ""),
    Reason.WRONG_TYPE: lambda: yaml_problems("[/sh]", "[no]"),
    Reason.UNKNOWN_TEMPLATE_TYPE: lambda: reference_problems(number=999),
    Reason.TEMPLATE_TYPE_NOT_SUPPLIED: lambda: problems_of(
        with_criterion(1, Operator.EXISTS, template_type=TYPES[4]), Rung.PSUTIL
    ),
    Reason.SCHEMA_VERSION_MISMATCH: lambda: yaml_problems('"4.0"', '"1.0"'),
    Reason.ARITY_MISMATCH: lambda: reference_problems(arity=PROCESS.arity + 1),
    Reason.FINGERPRINT_MISMATCH: lambda: reference_problems(fingerprint=b""),
    Reason.FIELD_OUT_OF_RANGE: lambda: problems_of(with_criterion(64, Operator.EXISTS)),
    Reason.UNKNOWN_FIELD: lambda: yaml_problems("field: image", "field: picture"),
    Reason.FIELD_NOT_SUPPLIED: lambda: problems_of(
        with_criterion(THREAD_ID, Operator.EXISTS), Rung.PSUTIL
    ),
    Reason.VERSION_NOT_NEWER: lambda: problems_of(channel_file(version=3), active_version=3),
    Reason.UNSET_ENUM: lambda: message_problems(
        lambda message: message.instances[0].ClearField("severity")
    ),
    Reason.UNKNOWN_ENUM: lambda: yaml_problems("severity: low", "severity: lowest"),
    Reason.BLANK_VALUE: lambda: problems_of(with_criterion(IMAGE, Operator.CONTAINS, b"")),
    Reason.DUPLICATE_ID: lambda: problems_of(channel_file(INSTANCE, INSTANCE)),
    Reason.INVALID_ID: lambda: yaml_problems("any-shell", "any shell"),
    Reason.INVALID_ATTACK_TECHNIQUE: lambda: problems_of(with_instance(attack_techniques=("",))),
    Reason.UNSUPPORTED_OPERATOR: lambda: problems_of(with_criterion(PID, Operator.GLOB, b"1*")),
    Reason.WRONG_VALUE_KIND: lambda: problems_of(with_criterion(PID, Operator.EQUALS, Signed(1))),
    Reason.VALUE_OUT_OF_RANGE: lambda: problems_of(
        with_criterion(3, Operator.CIDR, AddressPrefix(b"\1\1\1\1", 8), template_type=TYPES[3])
    ),
    Reason.CASE_NOT_APPLICABLE: lambda: problems_of(
        with_criterion(PID, Operator.EXISTS, case_sensitive=True)
    ),
    Reason.EXPRESSION_NOT_ALLOWED: lambda: problems_of(
        with_criterion(COMMAND_LINE, Operator.REGEX, b"(a)\\1")
    ),
    Reason.LIMIT_EXCEEDED: lambda: problems_of(with_instance(title="a" * 201)),
    Reason.NO_CRITERIA: lambda: problems_of(with_instance(clauses=())),
    Reason.SAMPLE_MISSING: lambda: problems_of(with_instance(samples=(MATCHING,))),
    Reason.DUPLICATE_INPUT: lambda: message_problems(_repeat_input),
    Reason.SAMPLE_FAILED: lambda: yaml_problems("/bin/ls", "/bin/sh"),
    Reason.INTERFACE_CASE_FAILED: lambda: interface_cases.check(TYPES[4], _without_content),
    Reason.PREVENTS_VITAL_PROGRAM: lambda: check_samples(
        with_instance(disposition=Disposition.PREVENT), TYPES
    ),
    Reason.RUN_TIME_CHECK: lambda: fault_problems(BrokenMatcher),
    Reason.WORK_BUDGET_EXCEEDED: lambda: fault_problems(build_default, count(0, 10**12).__next__),
    Reason.INSTANCE_QUARANTINED: left_out_problems,
    Reason.COSTLY_TO_EVALUATE: lambda: warnings(Operator.CONTAINS, b"a"),
    Reason.COSTLY_TO_COMPILE: lambda: warnings(Operator.REGEX, b"[a-z]{3}[0-9]{3}"),
    Reason.MAY_EXCEED_WORK_BUDGET: lambda: warnings(Operator.REGEX, b"a[ab]{200}c"),
    Reason.CASE_OF_OTHER_LETTERS: lambda: warnings(Operator.CONTAINS, "/Größe".encode()),
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_reached(reason: Reason) -> None:
    """A code would be documented that nothing gives, or a check be gone."""
    problems = REACHED[reason]()
    assert reason in [problem.reason for problem in problems]
    assert all(problem.place and problem.expected for problem in problems)


def test_good_content_reaches_none() -> None:
    """The changes would not be what is refused."""
    assert yaml_problems("any-shell", "some-shell") == ()
    assert problems_of(with_instance(samples=(MATCHING, OTHER))) == []


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(reason: Reason) -> None:
    """An author would be refused with a code that nothing explains."""
    explanation = EXPLANATIONS[reason]
    assert explanation.meaning.endswith(".")
    assert explanation.remedy.endswith(".")
    assert reason == reason.name
    assert f"| `{reason}` | {explanation.meaning} | {explanation.remedy} |" in reason_codes_page()


# --------------------------------------------------------------------------------------- reference


def test_pages_in_the_repository_are_current() -> None:
    """The reference would describe another release."""
    for name, text in pages(TYPES).items():
        assert (DOCUMENTATION / name).read_text() == text, "run `bulkhead content reference`"


def test_no_page_is_left_over() -> None:
    """The reference would describe a Template Type that is gone."""
    found = {path.name for path in (DOCUMENTATION / "template-types").iterdir()}
    assert found == {Path(name).name for name in pages(TYPES) if "/" in name}


def test_every_field_is_in_the_reference() -> None:
    """An author could not know of a field."""
    for template_type in TYPES.values():
        page = template_type_page(template_type)
        assert template_type.fingerprint.hex() in page
        for field in template_type.fields:
            assert f"| {field.number} | `{field.name}` | {field.kind}" in page
