"""Faults while the interpreter runs: which exceptions stay inside, and whom they take out."""

from dataclasses import replace

import numpy as np
import pytest
import re2

from content.interpreter import Interpreter, Undecided
from content.matching.batch import Batch, BoundsError
from content.matching.column import Rows
from content.matching.program import Candidate
from content.model import ChannelFile, Clause
from content.reasons import Reason
from content.record import encode
from content.template_type import Rung
from tests.unit.content.event_strategies import EVERY_KIND, channel_file
from tests.unit.content.interpreter_helpers import (
    PATH,
    SIZE,
    TYPES,
    clauses,
    is_one,
    matched,
    records,
)

OTHER_TYPE = replace(EVERY_KIND, number=8, name="another_kind")


def _of_another_type(file: ChannelFile) -> ChannelFile:
    reference = replace(
        file.template_type, number=OTHER_TYPE.number, fingerprint=OTHER_TYPE.fingerprint
    )
    return replace(file, template_type=reference)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BoundsError("field 21 of 20"), Reason.FIELD_OUT_OF_RANGE),
        (OverflowError("too large"), Reason.RUN_TIME_CHECK),
        (IndexError("no such row"), Reason.RUN_TIME_CHECK),
        (KeyError("no such name"), Reason.RUN_TIME_CHECK),
        (TypeError("no address"), Reason.RUN_TIME_CHECK),
        (ValueError("no such value"), Reason.RUN_TIME_CHECK),
        (re2.error("no expression"), Reason.RUN_TIME_CHECK),
    ],
)
def test_a_clause_that_fails_takes_out_its_instance_only(
    error: Exception, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bad instance would end the evaluator, and with it all protection."""
    real = Candidate.matched

    def failing(candidate: Candidate, batch: Batch) -> Rows:
        if candidate.source.owner == 0:
            raise error
        return real(candidate, batch)

    monkeypatch.setattr(Candidate, "matched", failing)
    file = channel_file(clauses(is_one(SIZE, 1)), clauses(is_one(SIZE, 1)))
    engine = Interpreter([file], TYPES)
    evaluation = engine.evaluate(EVERY_KIND, records({SIZE: 2}, {SIZE: 1}, {SIZE: 1}))
    (fault,) = evaluation.faults
    assert (fault.channel_file, fault.instance, fault.row) == (file, file.instances[0], 1)
    assert fault.reason == reason
    assert str(error) in fault.detail
    assert [(one.row, one.instance.id) for one in evaluation.matches] == [(1, "i1"), (2, "i1")]


def test_an_instance_with_a_fault_does_not_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of an instance would go on deciding after the other half broke a check."""

    def failing(candidate: Candidate, _batch: Batch) -> Rows:
        if candidate.source.index == 1:
            raise IndexError("no such row")
        return candidate.rows

    monkeypatch.setattr(Candidate, "matched", failing)
    either = (Clause((is_one(SIZE, 1),)), Clause((is_one(PATH, b"a"),)))
    engine = Interpreter([channel_file(clauses(is_one(SIZE, 1)), either)], TYPES)
    event: dict[int, bytes | int] = {SIZE: 1, PATH: b"a"}
    evaluation = engine.evaluate(EVERY_KIND, records(*[event] * 3))
    assert [(one.instance.id, one.row) for one in evaluation.faults] == [("i1", 0)]
    assert [(one.row, one.instance.id) for one in evaluation.matches] == [
        (row, "i0") for row in range(3)
    ]
    assert [(one.instance.id, one.rows) for one in evaluation.undecided] == [("i1", 3)]


def test_an_instance_with_a_fault_is_not_evaluated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that breaks with every event would be paid for with every event."""
    asked: list[int] = []

    def failing(candidate: Candidate, _batch: Batch) -> Rows:
        asked.append(candidate.source.owner)
        raise IndexError("no such row")

    monkeypatch.setattr(Candidate, "matched", failing)
    engine = Interpreter([channel_file(clauses(is_one(SIZE, 1)))], TYPES)
    assert len(engine.evaluate(EVERY_KIND, records({SIZE: 1})).faults) == 1
    assert engine.evaluate(EVERY_KIND, records({SIZE: 1})).faults == []
    assert asked == [0]


def test_two_template_types_are_evaluated_apart() -> None:
    """Content for one kind of event would be matched against records of another."""
    file = channel_file(clauses(is_one(SIZE, 1)))
    other = _of_another_type(channel_file(clauses(is_one(SIZE, 2)), clauses(is_one(SIZE, 1))))
    engine = Interpreter([file, other], {**TYPES, OTHER_TYPE.number: OTHER_TYPE})
    assert matched(engine, records({SIZE: 1})) == [(0, "i0")]
    batch = encode(OTHER_TYPE, {SIZE: 1}, rung=Rung.BPF_BTF)
    found = engine.evaluate(OTHER_TYPE, batch).matches
    assert [(one.channel_file, one.instance.id) for one in found] == [(other, "i1")]


def test_another_arity_takes_out_the_content_of_its_type_only() -> None:
    """A disagreement about one kind of event would cost the protection of all others."""
    file = channel_file(clauses(is_one(SIZE, 1)))
    other = _of_another_type(file)
    engine = Interpreter([file, other], {**TYPES, OTHER_TYPE.number: OTHER_TYPE})
    shorter = replace(EVERY_KIND, fields=EVERY_KIND.fields[:-1])
    disagreeing = encode(shorter, {SIZE: 1}, rung=Rung.BPF_BTF)
    evaluation = engine.evaluate(shorter, disagreeing)
    (fault,) = evaluation.faults
    assert (fault.channel_file, fault.row) == (file, 0)
    assert fault.detail == "found 6, expected 7"
    assert evaluation.undecided == [Undecided(file, file.instances[0], 1)]
    again = engine.evaluate(shorter, np.repeat(disagreeing, 3))
    assert again.faults == []
    assert again.undecided == [Undecided(file, file.instances[0], 3)]
    batch = encode(OTHER_TYPE, {SIZE: 1}, rung=Rung.BPF_BTF)
    assert [one.channel_file for one in engine.evaluate(OTHER_TYPE, batch).matches] == [other]


def test_a_batch_without_records_takes_nothing_out() -> None:
    """A batch in which nothing happened would cost the protection of its type."""
    engine = Interpreter([channel_file(clauses(is_one(SIZE, 1)))], TYPES)
    shorter = replace(EVERY_KIND, fields=EVERY_KIND.fields[:-1])
    empty = encode(shorter, {SIZE: 1}, rung=Rung.BPF_BTF)[:0]
    assert engine.evaluate(shorter, empty).faults == []
    assert matched(engine, records({SIZE: 1})) == [(0, "i0")]
