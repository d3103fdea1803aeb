"""The Content Validator, checks 1 to 10: Template Type, Channel File, instance."""

from dataclasses import replace
from typing import Any

import pytest

from content.channel_file import (
    ChannelFile,
    Clause,
    Criterion,
    Operator,
)
from content.definitions import Kind, Rung, SchemaVersion
from content.limits import LIMITS
from content.reasons import Reason
from content.supply import Supply
from content.validator import validate
from tests.unit.content.examples import (
    FULL_SUPPLY,
    IMAGE,
    IMAGE_IS_SHELL,
    INSTANCE,
    IPC,
    PROCESS,
    VALUES_OF_EVERY_KIND,
    channel_file,
    problems_of,
    reasons,
    reference,
    with_criterion,
    with_instance,
)


def test_valid_content_has_no_problem() -> None:
    """Good content would be refused."""
    assert problems_of(channel_file()) == []
    assert problems_of(VALUES_OF_EVERY_KIND) == []


# ------------------------------------------------------------------------- Template Type, 1 to 4


def test_unknown_template_type() -> None:
    """1: content for a Template Type that nobody has would reach the interpreter."""
    content = replace(channel_file(), template_type=replace(reference(PROCESS), number=999))
    assert reasons(problems_of(content)) == [Reason.UNKNOWN_TEMPLATE_TYPE]


def test_template_type_that_the_rung_cannot_see() -> None:
    """1: content for events that never come would be active and silently dead."""
    content = with_criterion(2, Operator.EQUALS, b"/tmp/socket", template_type=IPC)
    assert problems_of(content) == []
    assert reasons(problems_of(content, Rung.PSUTIL)) == [Reason.TEMPLATE_TYPE_NOT_SUPPLIED]


@pytest.mark.parametrize("version", [SchemaVersion(1, 99), SchemaVersion(99, 0)])
def test_schema_version_must_be_equal(version: SchemaVersion) -> None:
    """2: content for another version of a Template Type would be evaluated."""
    content = replace(channel_file(), template_type=replace(reference(PROCESS), version=version))
    assert reasons(problems_of(content)) == [Reason.SCHEMA_VERSION_MISMATCH]


@pytest.mark.parametrize("difference", [1, -1])
def test_arity_must_be_equal(difference: int) -> None:
    """3: an author's Definition with one field more or less would pass, as in July 2024."""
    author = replace(reference(PROCESS), arity=PROCESS.arity + difference)
    content = replace(channel_file(), template_type=author)
    assert reasons(problems_of(content)) == [Reason.ARITY_MISMATCH]


def test_fingerprint_must_be_equal() -> None:
    """4: a field that was renamed or became another kind would be compared."""
    author = replace(reference(PROCESS), fingerprint=bytes(32))
    content = replace(channel_file(), template_type=author)
    assert reasons(problems_of(content)) == [Reason.FINGERPRINT_MISMATCH]


def test_a_definition_that_is_not_known_here_cannot_be_judged() -> None:
    """4: a cloud that doesn't know a sensor's Definition would wave its content through."""
    supply = Supply(Rung.BPF_BTF, FULL_SUPPLY.types)
    elsewhere = {PROCESS.number: replace(PROCESS, fields=PROCESS.fields[:-1])}
    assert reasons(validate(channel_file(), supply, elsewhere)) == [Reason.UNKNOWN_TEMPLATE_TYPE]
    assert reasons(validate(channel_file(), supply, {})) == [Reason.UNKNOWN_TEMPLATE_TYPE]


def test_july_19_is_refused_for_three_reasons() -> None:
    """A 21st field that the sensor doesn't supply would be read, as on 19 July 2024."""
    field = replace(IPC.fields[-1], number=21, name="added_later", kind=Kind.TEXT, capacity=64)
    author = replace(IPC, fields=(*IPC.fields, field))
    content = with_criterion(21, Operator.EQUALS, b"anything", template_type=author)
    found = reasons(problems_of(content))
    expected = [Reason.ARITY_MISMATCH, Reason.FINGERPRINT_MISMATCH, Reason.FIELD_OUT_OF_RANGE]
    assert found == expected


# -------------------------------------------------------------------------- Channel File, 5 and 6


@pytest.mark.parametrize(("active", "version"), [(0, 0), (1, 1), (5, 4)])
def test_version_must_be_newer(active: int, version: int) -> None:
    """5: an attacker with an old signed file could roll protection back."""
    content = replace(channel_file(), version=version)
    assert reasons(problems_of(content, active_version=active)) == [Reason.VERSION_NOT_NEWER]


def test_version_has_an_upper_bound() -> None:
    """5: a version that a database can't hold, or that nothing can follow, would be stored."""
    assert problems_of(channel_file(version=(1 << 63) - 1)) == []
    assert reasons(problems_of(channel_file(version=1 << 63))) == [Reason.VALUE_OUT_OF_RANGE]


def test_a_channel_file_needs_instances() -> None:
    """6: an empty file would replace all protection of its type."""
    content = replace(channel_file(), instances=())
    assert reasons(problems_of(content)) == [Reason.NO_CRITERIA]


def _copies(count: int, **changes: Any) -> ChannelFile:
    copies = (replace(INSTANCE, id=f"copy-{number}", **changes) for number in range(count))
    return channel_file(*copies)


def test_instances_are_counted() -> None:
    """6: a file could cost the sensor more memory than was planned for."""
    assert problems_of(_copies(LIMITS.instances)) == []
    assert reasons(problems_of(_copies(LIMITS.instances + 1))) == [Reason.LIMIT_EXCEEDED]


def test_a_file_at_its_limit_is_looked_at() -> None:
    """6: a file as large as can be would be waved through."""
    copies = _copies(LIMITS.instances).instances
    content = channel_file(replace(copies[0], samples=()), *copies[1:])
    assert reasons(problems_of(content)) == [Reason.SAMPLE_MISSING] * 2


def test_criteria_and_values_are_counted_over_all_instances() -> None:
    """6: many instances that are each within the limits could still be too much."""
    many = Criterion(IMAGE, Operator.EQUALS, (b"x",) * LIMITS.values_per_criterion)
    clause = Clause((many,) * LIMITS.criteria_per_clause)
    full = (clause,) * LIMITS.clauses_per_instance
    criteria = LIMITS.criteria_per_clause * LIMITS.clauses_per_instance
    copies = LIMITS.criteria_total // criteria + 1
    found = problems_of(_copies(copies, clauses=full))
    assert [problem.place for problem in found] == ["all criteria", "all values"]


# ------------------------------------------------------------------------------ instance, 7 to 10


@pytest.mark.parametrize(
    "identifier", ["", "Upper", "under_score", "-a", "a-", "a--b", "ä", "a b", "a\n", "a" * 65]
)
def test_ids_are_well_formed(identifier: str) -> None:
    """7: ids end up in file names, logs and command lines."""
    assert reasons(problems_of(with_instance(id=identifier))) == [Reason.INVALID_ID]


def test_longest_id() -> None:
    """7: the limit would be off by one."""
    assert problems_of(with_instance(id="a" * 64)) == []


def test_ids_are_unique() -> None:
    """7: detections and quarantine name an instance by its id."""
    found = problems_of(channel_file(INSTANCE, INSTANCE))
    assert reasons(found) == [Reason.DUPLICATE_ID]
    assert found[0].place == "instances[1].id"


@pytest.mark.parametrize("name", ["title", "description"])
@pytest.mark.parametrize("text", ["", "  "])
def test_title_and_description_are_there(name: str, text: str) -> None:
    """8: a detection would say nothing."""
    assert reasons(problems_of(with_instance(**{name: text}))) == [Reason.BLANK_VALUE]


def test_titles_are_one_line() -> None:
    """8: a title with control characters could forge log lines."""
    assert reasons(problems_of(with_instance(title="a\nb"))) == [Reason.VALUE_OUT_OF_RANGE]


def test_prose_has_limits() -> None:
    """8: prose could fill reports and disks."""
    assert problems_of(with_instance(title="a" * LIMITS.title_characters)) == []
    over = [
        with_instance(title="a" * (LIMITS.title_characters + 1)),
        with_instance(description="a" * (LIMITS.prose_characters + 1)),
        with_instance(false_positives=("a" * (LIMITS.prose_characters + 1),)),
        with_instance(false_positives=("a",) * (LIMITS.false_positives_per_instance + 1)),
    ]
    assert [reasons(problems_of(content)) for content in over] == [[Reason.LIMIT_EXCEEDED]] * 4


def test_false_positive_notes_are_not_blank() -> None:
    """8: an empty note says nothing."""
    assert reasons(problems_of(with_instance(false_positives=(" ",)))) == [Reason.BLANK_VALUE]


@pytest.mark.parametrize("technique", ["", "T105", "T10599", "t1059", "T1059.4", "T1059.004 "])
def test_attack_techniques_are_well_formed(technique: str) -> None:
    """9: a mistyped technique would be lost in every report."""
    found = problems_of(with_instance(attack_techniques=(technique,)))
    assert reasons(found) == [Reason.INVALID_ATTACK_TECHNIQUE]


def test_attack_techniques_are_counted() -> None:
    """9: each detection carries them all."""
    most = LIMITS.attack_techniques_per_instance
    assert problems_of(with_instance(attack_techniques=("T1059",) * most)) == []
    found = problems_of(with_instance(attack_techniques=("T1059",) * (most + 1)))
    assert reasons(found) == [Reason.LIMIT_EXCEEDED]


def test_instances_and_clauses_are_not_empty() -> None:
    """10: a clause without criteria matches every event, an instance without clauses none."""
    assert reasons(problems_of(with_instance(clauses=()))) == [Reason.NO_CRITERIA]
    assert reasons(problems_of(with_instance(clauses=(Clause(()),)))) == [Reason.NO_CRITERIA]


def test_clauses_and_criteria_are_counted() -> None:
    """10: one instance could cost as much as thousands."""
    one = INSTANCE.clauses[0]
    most = LIMITS.clauses_per_instance
    assert problems_of(with_instance(clauses=(one,) * most)) == []
    found = problems_of(with_instance(clauses=(one,) * (most + 1)))
    assert reasons(found) == [Reason.LIMIT_EXCEEDED]
    most = LIMITS.criteria_per_clause
    assert problems_of(with_instance(clauses=(Clause((IMAGE_IS_SHELL,) * most),))) == []
    found = problems_of(with_instance(clauses=(Clause((IMAGE_IS_SHELL,) * (most + 1)),)))
    assert reasons(found) == [Reason.LIMIT_EXCEEDED]


# ------------------------------------------------------------------------------------ all at once


def test_all_problems_at_once() -> None:
    """An author would correct one mistake per run."""
    bad = replace(INSTANCE, id="BAD", title="", attack_techniques=("x",), samples=())
    found = reasons(problems_of(channel_file(bad, replace(INSTANCE, clauses=()))))
    assert set(found) == {
        Reason.INVALID_ID,
        Reason.BLANK_VALUE,
        Reason.INVALID_ATTACK_TECHNIQUE,
        Reason.SAMPLE_MISSING,
        Reason.NO_CRITERIA,
    }


def test_problems_are_limited() -> None:
    """A hostile file could make the sensor report without end."""
    found = problems_of(channel_file(*[replace(INSTANCE, id="BAD")] * 200))
    assert len(found) == LIMITS.problems


def test_what_was_found_is_escaped() -> None:
    """A hostile file could write control sequences into logs."""
    found = problems_of(with_instance(id="\x1b[2J"))
    assert found[0].found == "\\x1b[2J"
