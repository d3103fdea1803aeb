"""Samples get the answer of the real engine, and a wrong one is explained to the author."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from content import samples
from content.interpreter import Engine, Evaluation, InstanceFault, Interpreter, Match
from content.model import (
    AddressPrefix,
    ChannelFile,
    Clause,
    Criterion,
    Operator,
    Sample,
    Value,
)
from content.reasons import Reason
from content.record import Records
from content.template_type import TemplateType
from tests.unit.content.event_strategies import EVERY_KIND, channel_file
from tests.unit.content.interpreter_helpers import (
    ADDRESS,
    ENUM,
    IMAGE,
    PATH,
    TYPES,
    is_one,
)

CLAUSES = (
    Clause((is_one(IMAGE, b"/sh", Operator.ENDS_WITH), is_one(PATH, b"x"), is_one(ENUM, 2))),
    Clause((is_one(IMAGE, b"/nc", Operator.ENDS_WITH),)),
)
ONE_ADDRESS = AddressPrefix(b"\x0a\x00\x00\x01", 32)


def with_samples(*found: Sample) -> ChannelFile:
    """A file with a harmless instance and one that has these samples."""
    file = channel_file((Clause((is_one(PATH, b"y"),)),), CLAUSES)
    first, second = file.instances
    return replace(file, instances=(first, replace(second, samples=found)))


def sample(inputs: Mapping[int, Value], *, must_match: bool = True) -> Sample:
    """A sample named s."""
    return Sample("s", must_match, inputs)


def test_samples_with_the_right_answer_are_no_problem() -> None:
    """Good content would be refused."""
    file = with_samples(
        sample({IMAGE: b"/bin/sh", PATH: b"x", ENUM: 2, ADDRESS: ONE_ADDRESS}),
        sample({IMAGE: b"/bin/nc"}),
        sample({IMAGE: b"/bin/sh", PATH: b"x"}, must_match=False),
        sample({PATH: b"y"}, must_match=False),
    )
    assert samples.check(file, TYPES) == []


def test_a_sample_that_should_match_names_what_failed_and_the_value() -> None:
    """The author would have to guess which criterion does not hold."""
    (problem,) = samples.check(
        with_samples(sample({IMAGE: b"/bin/nc"}), sample({IMAGE: b"/bin/nc\n", ENUM: 3})), TYPES
    )
    assert problem.reason is Reason.SAMPLE_FAILED
    assert problem.place == "instances[1].samples[1]"
    assert "sample 's' is not matched" in problem.found
    assert "clauses[1].criteria[0] fails on image = '/bin/nc\\x0a'" in problem.found


def test_the_clause_that_came_closest_is_explained() -> None:
    """The author would be told about a clause that was not meant."""
    inputs: dict[int, Value] = {IMAGE: b"/bin/sh", PATH: b"x", ENUM: 3}
    (problem,) = samples.check(with_samples(sample(inputs)), TYPES)
    assert "clauses[0].criteria[2] fails on operation = three" in problem.found
    assert "criteria[0]" not in problem.found


def test_an_absent_field_is_called_absent() -> None:
    """An author who forgot an input would look for the fault in its value."""
    (problem,) = samples.check(with_samples(sample({IMAGE: b"/bin/sh", ENUM: 2})), TYPES)
    assert "fails on path = (absent)" in problem.found


def test_an_address_is_shown_as_people_write_it() -> None:
    """An author would read four bytes in escapes."""
    value = ip_address("192.0.2.7").packed
    explained = samples.Explanation(0, 0, EVERY_KIND.field(ADDRESS), held=False, value=value)
    assert samples.shown_value(explained) == "192.0.2.7"


def test_a_sample_that_should_not_match_names_the_clause_that_does() -> None:
    """The author would have to guess which clause is too wide."""
    (problem,) = samples.check(with_samples(sample({IMAGE: b"/bin/nc"}, must_match=False)), TYPES)
    assert problem.found == "sample 's' is matched by clauses[1]"
    assert problem.expected == "no match"


def test_content_that_the_engine_refuses_comes_back_as_its_problems() -> None:
    """An author would see a traceback."""
    file = channel_file((Clause((Criterion(99, Operator.EXISTS, ()),)),))
    (problem,) = samples.check(file, TYPES)
    assert problem.reason is Reason.FIELD_OUT_OF_RANGE
    assert problem.place == "instances[0].clauses[0].criteria[0].field"


def test_samples_go_through_the_engine_that_was_given() -> None:
    """A trial would test another interpreter than the one that is going to run."""
    asked: list[int] = []

    def factory(files: Sequence[ChannelFile], types: Mapping[int, TemplateType]) -> Engine:
        asked.append(len(files))
        return Interpreter([], types)

    (problem,) = samples.check(with_samples(sample({IMAGE: b"/bin/nc"})), TYPES, factory)
    assert asked == [1]
    assert "every criterion holds, yet the engine did not match" in problem.found


class FaultyEngine:
    """Matches everything it is asked for, and reports a fault with it."""

    def __init__(self, files: Sequence[ChannelFile], _types: Mapping[int, TemplateType]) -> None:
        self._file = files[0]

    def evaluate(self, _template_type: TemplateType, records: Records) -> Evaluation:
        """A match of the last instance in every record, and a fault in the last record."""
        instance, last = self._file.instances[-1], len(records) - 1
        matches = [Match(row, self._file, instance, 0) for row in range(len(records))]
        fault = InstanceFault(self._file, instance, last, Reason.RUN_TIME_CHECK, "out of bounds")
        return Evaluation(matches, [fault], 0)


def test_a_fault_is_a_problem_even_if_the_answer_is_right() -> None:
    """Content that the interpreter takes out at run time would ship."""
    file = with_samples(sample({IMAGE: b"/bin/nc"}), sample({IMAGE: b"/bin/nc"}))
    (problem,) = samples.check(file, TYPES, FaultyEngine)
    assert (problem.reason, problem.place) == (Reason.RUN_TIME_CHECK, "instances[1].samples[1]")
    assert (problem.found, problem.expected) == ("out of bounds", "no fault")


def test_more_samples_than_a_batch_are_all_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples behind the first batch would never be looked at."""
    monkeypatch.setattr(samples, "BATCH_SAMPLES", 4)
    wrong = sample({IMAGE: b"/bin/nc"}, must_match=False)
    right = sample({IMAGE: b"/bin/nc"})
    file = with_samples(*[right] * 5, wrong, *[right] * 3, wrong)
    assert [one.place for one in samples.check(file, TYPES)] == [
        "instances[1].samples[5]",
        "instances[1].samples[9]",
    ]


def test_explain_judges_every_criterion() -> None:
    """Tools would show a verdict without its reasons."""
    instance = with_samples().instances[1]
    explained = samples.explain(instance, EVERY_KIND, {IMAGE: b"/bin/sh", PATH: b"y" * 20})
    assert [(one.clause, one.criterion, one.field.name, one.held) for one in explained] == [
        (0, 0, "image", True),
        (0, 1, "path", False),
        (0, 2, "operation", False),
        (1, 0, "image", False),
    ]
    assert explained[1].value == b"y" * 8
    assert explained[2].value is None
