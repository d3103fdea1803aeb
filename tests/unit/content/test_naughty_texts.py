"""Texts that programs stumble over, at every place where content or an event can hold one."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from content.authoring import read_instance_text
from content.authoring_writer import instance_text
from content.channel_file import load, pack
from content.escape import safe
from content.interpreter import Interpreter
from content.matching import glob
from content.matching.matcher import MatcherFactory
from content.model import Clause, Criterion, Operator, Sample, TemplateInstance
from content.problems import ContentError
from content.reasons import Reason
from content.record import encode
from content.regex_subset import ExpressionError, parse
from content.template_type import Rung
from tests.unit.content import reference_evaluator
from tests.unit.content.event_strategies import EVERY_KIND, channel_file, is_allowed
from tests.unit.content.examples import (
    IMAGE,
    INSTANCE,
    PROCESS,
    TYPES,
    YAML,
    problems_of,
    with_instance,
)
from tests.unit.content.interpreter_helpers import MATCHERS
from tests.unit.content.naughty_texts import BYTES, TEXTS
from tests.unit.content.tree_matcher import found_in

TEXT_FIELD = EVERY_KIND.fields[-1]
TYPES_OF_EVERY_KIND = {EVERY_KIND.number: EVERY_KIND}
COMPARED_AS_IT_STANDS = (
    Operator.EQUALS,
    Operator.STARTS_WITH,
    Operator.ENDS_WITH,
    Operator.CONTAINS,
)


def criteria() -> Iterator[Criterion]:
    """Each text as the value of each operator that takes it, in turn with and without case."""
    for number, value in enumerate(BYTES):
        operators = [*COMPARED_AS_IT_STANDS, *[Operator.REGEX] * is_allowed(value)]
        for operator in operators:
            case_sensitive = bool((number + operator) % 2)
            yield Criterion(TEXT_FIELD.number, operator, (value,), False, case_sensitive)


def _text(criterion: Criterion) -> bytes:
    (value,) = criterion.values
    assert isinstance(value, bytes)
    return value


@pytest.mark.parametrize("matcher", MATCHERS)
def test_they_are_compared_as_they_are(matcher: MatcherFactory) -> None:
    """A text would match another one, be trimmed, folded or cut, or break a matcher."""
    wanted = [one for one in criteria() if one.operator is not Operator.REGEX]
    content = channel_file(*[(Clause((one,)),) for one in wanted])
    records = np.concatenate(
        [encode(EVERY_KIND, {TEXT_FIELD.number: text}, rung=Rung.BPF_BTF) for text in BYTES]
    )
    evaluation = Interpreter([content], TYPES_OF_EVERY_KIND, matcher=matcher).evaluate(
        EVERY_KIND, records
    )
    assert not evaluation.faults
    found = {(one.row, one.instance.id, one.clause) for one in evaluation.matches}
    assert found == set(reference_evaluator.evaluate([content], EVERY_KIND, records))
    assert len(found) >= len(BYTES)


@pytest.mark.parametrize("matcher", MATCHERS)
def test_as_expressions_they_are_refused_or_mean_the_same_everywhere(
    matcher: MatcherFactory,
) -> None:
    """What is no expression would reach a matcher, or be one thing here and another there."""
    wanted = [one for one in criteria() if one.operator is Operator.REGEX]
    assert len(BYTES) / 4 < len(wanted) < len(BYTES)
    content = channel_file(*[(Clause((one,)),) for one in wanted])
    cut = [text[: TEXT_FIELD.capacity] for text in BYTES]
    records = np.concatenate(
        [encode(EVERY_KIND, {TEXT_FIELD.number: text}, rung=Rung.BPF_BTF) for text in cut]
    )
    evaluation = Interpreter([content], TYPES_OF_EVERY_KIND, matcher=matcher).evaluate(
        EVERY_KIND, records
    )
    assert not evaluation.faults
    found = {(one.row, one.instance.id) for one in evaluation.matches}
    for number, one in enumerate(wanted):
        tree = parse(_text(one), case_sensitive=one.case_sensitive)
        rows = {row for row, text in enumerate(cut) if found_in(tree, text)}
        assert {row for row, name in found if name == f"i{number}"} == rows


def test_as_globs_they_are_refused_or_taken() -> None:
    """A glob would be a traceback in the author's tool."""
    for value in BYTES:
        with suppress(ExpressionError):
            glob.parse(value)


@pytest.mark.parametrize("text", TEXTS)
def test_as_prose_they_are_refused_or_carried(text: str) -> None:
    """A title could forge a line, or come out of the Channel File as another one."""
    names = ("id", "title", "description", "author", "license", "source")
    for name in names:
        content = with_instance(**{name: text})
        assert load(pack(content)) == content
        problems = problems_of(content)
        assert all(one.found.isprintable() for one in problems)
        if name != "description" and not text.isprintable():
            assert problems
    lists = with_instance(references=(text,), false_positives=(text,), attack_techniques=(text,))
    assert Reason.INVALID_ATTACK_TECHNIQUE in {one.reason for one in problems_of(lists)}


def test_what_is_written_for_authors_is_read_as_the_same() -> None:
    """YAML would take a value for a number, a comment or an alias, or lose a byte of it."""
    for instance in map(_with_value, BYTES):
        written = instance_text(instance, PROCESS)
        assert read_instance_text(written.encode(), "written.yaml", TYPES).instance == instance


def _with_value(value: bytes) -> TemplateInstance:
    criterion = Criterion(IMAGE, Operator.CONTAINS, (value,))
    sample = Sample("one", must_match=True, inputs={IMAGE: value})
    return replace(INSTANCE, clauses=(Clause((criterion,)),), samples=(sample,))


@pytest.mark.parametrize("place", ["title: {}", "id: {}", "? {}\n:", "attack: [{}]", "x: '{}'"])
def test_pasted_into_yaml_they_are_text_or_refused(place: str) -> None:
    """A pasted text would be a traceback, or something else than what stands there."""
    for text in TEXTS:
        data = YAML.replace("title: A shell", place.format(text))
        try:
            authored = read_instance_text(data.encode(), "pasted.yaml", TYPES)
        except ContentError as error:
            assert all(one.found.isprintable() for one in error.problems)  # noqa: PT017 - most are
        else:
            carried = (authored.instance.title, *authored.instance.attack_techniques)
            assert text.strip(" \t") in carried or _is_cut_by_yaml(text), text


def _is_cut_by_yaml(text: str) -> bool:
    """Whether YAML itself says that only a part of it is the text: comments, quotes, folding."""
    return any(
        sign in text for sign in ("#", "'", '"', "\n", "\r", "\x85", "\u2028", "\u2029", "|", ">")
    )


def test_shown_they_are_one_line_and_can_be_told_apart() -> None:
    """A log line could be forged, a terminal steered, or one name shown as another."""
    shown = [safe(value) for value in BYTES]
    assert all(one.isprintable() for one in shown)
    assert len(set(shown)) == len(set(BYTES)) == len(BYTES)
