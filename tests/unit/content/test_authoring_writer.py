"""What is written as an author's file is read back as the same instance."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.authoring import read_instance_text
from content.authoring_writer import instance_text, quoted
from content.limits import LIMITS
from content.model import (
    AddressPrefix,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Sample,
    Severity,
    Signed,
    TemplateInstance,
    Value,
)
from content.template_type import Kind
from tests.unit.content.event_strategies import CLAUSES, EVERY_KIND, channel_file, inputs
from tests.unit.content.examples import INSTANCE, NETWORK, TYPES, VALUES_OF_EVERY_KIND

TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.text("ab: #-'\"\\\n\t|>{}[]&*!%@`,?=~\u2028\x85\ufeff", max_size=12),
    st.sampled_from(
        ["no", "012", "12:30", "null", "~", "- a", "a: b", "a #b", "a\n\nb", " a\nb ", "'"]
    ),
)
LONG_TEXTS = st.one_of(TEXTS, st.lists(TEXTS, max_size=30).map(" ".join))
ADDRESS = "https://example.org/a-b"
TYPES_OF_EVERY_KIND = {EVERY_KIND.number: EVERY_KIND}


def one_clause(criterion: Criterion) -> Clause:
    """A clause of one criterion."""
    return Clause((criterion,))


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """A sample with any inputs."""
    found: dict[int, Value] = {}
    for number, value in draw(inputs()).items():
        kind = EVERY_KIND.field(number).kind
        if kind is Kind.ADDRESS and isinstance(value, bytes):
            found[number] = AddressPrefix(value, 128)
        else:
            found[number] = value
    return Sample(draw(TEXTS), draw(st.booleans()), found)


@st.composite
def instances(draw: st.DrawFn) -> TemplateInstance:
    """An instance of EVERY_KIND, sound in form if not in sense."""
    (base,) = channel_file(tuple(draw(st.lists(CLAUSES, min_size=1, max_size=3)))).instances
    changes: dict[str, Any] = {
        "title": draw(TEXTS),
        "description": draw(LONG_TEXTS),
        "disposition": draw(st.sampled_from(Disposition)),
        "severity": draw(st.sampled_from(Severity)),
        "attack_techniques": draw(st.sampled_from([(), ("T1059",), ("T1059.004", "T1105")])),
        "false_positives": tuple(draw(st.lists(LONG_TEXTS, max_size=2))),
        "author": draw(TEXTS),
        "license": draw(TEXTS),
        "source": draw(TEXTS),
        "references": tuple(draw(st.lists(TEXTS, max_size=2))),
        "samples": tuple(draw(st.lists(samples(), min_size=1, max_size=2))),
    }
    return replace(base, **changes)


@given(instances(), st.lists(TEXTS, max_size=2))
def test_what_is_written_is_read(instance: TemplateInstance, comments: list[str]) -> None:
    """A value would change between the tool that writes it and the sensor."""
    text = instance_text(instance, EVERY_KIND, comments)
    found = read_instance_text(text.encode(), "written", TYPES_OF_EVERY_KIND)
    assert found.instance == instance


def test_every_kind_of_value_of_a_real_type() -> None:
    """A field's name, an enum's or an address would be written in a form that nobody reads."""
    (instance,) = VALUES_OF_EVERY_KIND.instances
    found = read_instance_text(instance_text(instance, NETWORK).encode(), "written", TYPES)
    assert found.instance == instance


def test_what_people_read_stays_readable() -> None:
    """Everything would be in quotes and escapes, and reviews a chore."""
    words = "plain words that go on " * 6 + "until the line is full"
    criterion = Criterion(1, Operator.ENDS_WITH, (b"/bin/sh", b" -c ", b"\xff"))
    instance = replace(INSTANCE, description=words, clauses=(one_clause(criterion),))
    text = instance_text(instance, TYPES[1], ["A comment", "that\nstays one"])
    assert text.startswith("# A comment\n# that stays one\nid: shell-started\n")
    assert "title: A shell was started\n" in text
    assert "description: >-\n  plain words" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "        - /bin/sh\n        - ' -c '\n        - {hex: \"ff\"}\n" in text


def test_quoting() -> None:
    """Text would be taken for something else by some reader of YAML."""
    assert quoted(ADDRESS) == ADDRESS
    assert quoted("it's") == "'it''s'"
    assert quoted("no") == "'no'"
    assert quoted("") == "''"
    assert quoted("a\x1b[2J\u2028") == '"a\\x1b[2J\\u2028"'
    assert quoted("\U000e0001") == '"\\U000e0001"'


@pytest.mark.parametrize(
    "change",
    [
        {"clauses": (one_clause(Criterion(99, Operator.EXISTS, ())),)},
        {"samples": (Sample("one", must_match=True, inputs={0: b"x"}),)},
    ],
)
def test_a_field_that_is_not_there_is_misuse(change: dict[str, Any]) -> None:
    """A criterion would be written under another field's name."""
    with pytest.raises(ValueError, match="has no field"):
        instance_text(replace(INSTANCE, **change), TYPES[1])


def test_an_enum_value_that_is_not_there_is_misuse() -> None:
    """A value would be written that no name stands for."""
    criterion = Criterion(1, Operator.EQUALS, (LIMITS.instances,))
    with pytest.raises(ValueError, match="operation has no value"):
        instance_text(replace(INSTANCE, clauses=(one_clause(criterion),)), NETWORK)


def test_what_is_empty_stays_empty() -> None:
    """An unfinished instance could not be written for its author to go on with."""
    empty = Sample("empty", must_match=False, inputs={})
    for change in (
        {"clauses": ()},
        {"clauses": (Clause(()),)},
        {"clauses": (one_clause(Criterion(1, Operator.EQUALS, ())),)},
        {"samples": ()},
        {"samples": (empty,)},
    ):
        instance = replace(INSTANCE, **change)
        text = instance_text(instance, TYPES[1])
        assert read_instance_text(text.encode(), "written", TYPES).instance == instance


def test_numbers_stay_numbers() -> None:
    """A negative number would be read as text."""
    criterion = Criterion(7, Operator.EQUALS, (Signed(-13),))
    instance = replace(VALUES_OF_EVERY_KIND.instances[0], clauses=(one_clause(criterion),))
    found = read_instance_text(instance_text(instance, NETWORK).encode(), "written", TYPES)
    (value,) = found.instance.clauses[0].criteria[0].values
    assert isinstance(value, Signed)
    assert value == -13
