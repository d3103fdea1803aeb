"""The work budget: who exceeds it is named and skipped, everybody else is evaluated as ever."""

import gc
import random
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from content.definitions import load_definitions
from content.interpreter import Evaluation, Interpreter
from content.matching import hyperscan_matcher, work
from content.matching.column import TextColumn
from content.matching.hyperscan_matcher import HyperscanMatcher
from content.matching.matcher import MatcherFactory
from content.matching.pattern import Pattern, patterns_of
from content.matching.work import Clock, Meter, OverBudgetError, text_work
from content.model import (
    AddressPrefix,
    ChannelFile,
    Clause,
    Criterion,
    Operator,
    TemplateTypeReference,
)
from content.reasons import Reason
from content.record import Records, encode
from content.template_type import Rung
from tests.unit.content import reference_evaluator
from tests.unit.content.event_strategies import CHANNEL_FILES, EVERY_KIND, batches, channel_file
from tests.unit.content.interpreter_helpers import (
    ADDRESS,
    IMAGE,
    MATCHERS,
    SIZE,
    TYPES,
    clauses,
    is_one,
    never,
    records,
)

PROCESS = next(one for one in load_definitions().values() if one.name == "process")
COMMAND_LINE = 2
ONE: dict[int, bytes | int] = {SIZE: 1, IMAGE: b"a"}
TWO: dict[int, bytes | int] = {SIZE: 2, IMAGE: b"a"}
ANYTHING = is_one(IMAGE, b"*", Operator.GLOB)
"""Can't be searched for: it is judged text by text."""


WASTEFUL = (Clause((*[ANYTHING] * 31, replace(ANYTHING, negated=True))),) * 63
"""Judges the image of every record that has one over and over, and never matches."""


def of_process(*instances: tuple[Clause, ...]) -> ChannelFile:
    """A Channel File for processes."""
    reference = TemplateTypeReference(
        PROCESS.number, PROCESS.version, PROCESS.fingerprint, PROCESS.arity
    )
    return replace(channel_file(*instances), template_type=reference)


def processes(command_lines: Sequence[bytes]) -> Records:
    """One record per command line."""
    encoded = [encode(PROCESS, {COMMAND_LINE: one}, rung=Rung.BPF_BTF) for one in command_lines]
    return np.concatenate(encoded)


def rows_of(evaluation: Evaluation, instance: str) -> list[int]:
    """Where an instance matched."""
    return [one.row for one in evaluation.matches if one.instance.id == instance]


@pytest.mark.parametrize("matcher", MATCHERS)
def test_who_exceeds_the_budget_is_named_and_others_are_evaluated(matcher: MatcherFactory) -> None:
    """One instance would hold up a batch until the evaluator is taken for dead."""
    file = channel_file(clauses(is_one(SIZE, 1)), WASTEFUL, clauses(is_one(IMAGE, b"a")))
    engine = Interpreter([file], TYPES, matcher=matcher, clock=never)
    batch = records(*[ONE] * 2000)
    evaluation = engine.evaluate(EVERY_KIND, batch)
    (fault,) = evaluation.faults
    assert (fault.instance.id, fault.reason) == ("i1", Reason.WORK_BUDGET_EXCEEDED)
    assert "expected at most 100,000,000" in fault.detail
    everything = list(range(2000))
    assert rows_of(evaluation, "i0") == rows_of(evaluation, "i2") == everything


def test_what_was_found_before_counts_and_what_was_not_decided_is_told() -> None:
    """A detection would be lost, or a gap in protection be known to nobody."""
    costly = (Clause((is_one(SIZE, 1),)), *WASTEFUL)
    engine = Interpreter([channel_file(costly)], TYPES, clock=never)
    batch = records(*[ONE] * 700, *[TWO] * 1300)
    evaluation = engine.evaluate(EVERY_KIND, batch)
    assert [one.reason for one in evaluation.faults] == [Reason.WORK_BUDGET_EXCEEDED]
    assert rows_of(evaluation, "i0") == list(range(700))
    assert [(one.instance.id, one.rows) for one in evaluation.undecided] == [("i0", 1300)]
    later = engine.evaluate(EVERY_KIND, batch[:50])
    assert not later.faults
    assert not later.matches
    assert [(one.instance.id, one.rows) for one in later.undecided] == [("i0", 50)]


def test_nothing_is_undecided_where_nobody_was_skipped() -> None:
    """Every sensor would report gaps that it does not have."""
    engine = Interpreter([channel_file(clauses(is_one(SIZE, 1)))], TYPES)
    assert engine.evaluate(EVERY_KIND, records({SIZE: 1}, {SIZE: 2})).undecided == []


class Watch:
    """A clock that runs while one instance is evaluated, and stands still for all others."""

    def __init__(self, slow: int, nanoseconds: int) -> None:
        self.now = 0
        self._slow = slow
        self._nanoseconds = nanoseconds
        self._running = False

    def note(self, _row: int, owner: int) -> None:
        """Which instance it is now."""
        self._running = owner == self._slow

    def __call__(self) -> int:
        """The time, later with every look."""
        self.now += self._nanoseconds * self._running
        return self.now


def slow_engine(nanoseconds: int, files: Sequence[ChannelFile]) -> Interpreter:
    """An interpreter in which every look at the clock says that instance 1 took so long."""
    watch = Watch(1, nanoseconds)
    clock: Clock = watch
    return Interpreter(files, TYPES, note=watch.note, clock=clock)


def test_the_clock_finds_who_takes_longer_than_its_work_says() -> None:
    """An expression on which RE2 falls back would hold up everybody within a counted budget."""
    file = channel_file(clauses(is_one(SIZE, 1)), clauses(ANYTHING), clauses(ANYTHING))
    batch = records(*[ONE] * 300)
    most = work.units_of_batch(300) * 3
    assert not slow_engine(most // 3, [file]).evaluate(EVERY_KIND, batch).faults
    evaluation = slow_engine(most + 1, [file]).evaluate(EVERY_KIND, batch)
    assert [(one.instance.id, one.reason) for one in evaluation.faults] == [
        ("i1", Reason.WORK_BUDGET_EXCEEDED)
    ]
    assert "ms of processor time" in evaluation.faults[0].detail
    assert rows_of(evaluation, "i0") == rows_of(evaluation, "i2") == list(range(300))


def test_the_clock_is_looked_at_between_clauses() -> None:
    """Many clauses, each within its time, would together take as long as they like."""
    file = channel_file(clauses(is_one(SIZE, 1)), (Clause((is_one(SIZE, 1),)),) * 60)
    batch = records({SIZE: 1})
    most = work.units_of_batch(1) * 3
    assert not slow_engine(most // 60, [file]).evaluate(EVERY_KIND, batch).faults
    evaluation = slow_engine(most // 30, [file]).evaluate(EVERY_KIND, batch)
    assert [one.instance.id for one in evaluation.faults] == ["i1"]
    assert rows_of(evaluation, "i0") == [0]
    assert rows_of(evaluation, "i1") == [0]  # By its first clause.


def test_nobody_pays_for_the_cyclic_collector() -> None:
    """Whoever is running when it comes would be taken for too slow: a false fault in a trial."""
    looks: list[bool] = []

    def clock() -> int:
        looks.append(gc.isenabled())
        return 0

    engine = Interpreter([channel_file(clauses(ANYTHING))], TYPES, clock=clock)
    assert rows_of(engine.evaluate(EVERY_KIND, records(ONE)), "i0") == [0]
    assert looks
    assert not any(looks)
    assert gc.isenabled()


def test_an_expression_that_re2_follows_slowly_is_stopped() -> None:
    """The real thing: 300 texts at 10 ms each would take seconds; others wait no longer."""
    slow = Criterion(COMMAND_LINE, Operator.REGEX, (b"a.{255}.{255}.{255}z",), negated=True)
    found = Criterion(COMMAND_LINE, Operator.CONTAINS, (b"abababababab",))
    source = random.Random(1)  # noqa: S311  nothing secret
    lines = [b"abababababab" + bytes(source.choices(b"ab", k=4000)) for _ in range(300)]
    engine = Interpreter(
        [of_process(clauses(found, slow), clauses(found))], {PROCESS.number: PROCESS}
    )
    batch = processes(lines)
    began = time.thread_time()
    evaluation = engine.evaluate(PROCESS, batch)
    took = time.thread_time() - began
    assert [(one.instance.id, one.reason) for one in evaluation.faults] == [
        ("i0", Reason.WORK_BUDGET_EXCEEDED)
    ]
    assert rows_of(evaluation, "i1") == list(range(300))
    assert [(one.instance.id, one.rows) for one in evaluation.undecided] == [("i0", 300)]
    assert took < 1.0


def test_a_look_at_the_clock_is_never_far_away() -> None:
    """Between two looks an expression could take as long as it likes."""

    def at_once(expression: bytes, capacity: int) -> int:
        criterion = Criterion(COMMAND_LINE, Operator.REGEX, (expression,))
        return text_work(patterns_of(criterion), capacity).texts_at_once

    assert at_once(b"[ab]{200}.{255}x", 4096) == 2
    assert at_once(b"(ab|.{250}){7}x", 4096) == 1
    assert at_once(b"a+b", 16) == work.MOST_TEXTS_AT_ONCE


@pytest.mark.parametrize(
    "criterion",
    [
        is_one(SIZE, 0, Operator.GREATER),
        is_one(IMAGE, b"a", Operator.CONTAINS),
        ANYTHING,
        Criterion(IMAGE, Operator.EXISTS, ()),
        is_one(ADDRESS, AddressPrefix(bytes(16), 0), Operator.CIDR),
        replace(is_one(IMAGE, b"zq"), negated=True),
    ],
)
def test_every_kind_of_filter_is_metered(
    criterion: Criterion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind of criterion would cost nothing, however often it is asked."""
    event: dict[int, bytes | int] = {**ONE, ADDRESS: bytes(16)}
    engine = Interpreter([channel_file(clauses(criterion))], TYPES, clock=never)
    assert rows_of(engine.evaluate(EVERY_KIND, records(event)), "i0") == [0]
    monkeypatch.setattr(work, "units_of_batch", lambda _records: work.UNITS_PER_FILTER - 1)
    (fault,) = engine.evaluate(EVERY_KIND, records(event)).faults
    assert fault.reason is Reason.WORK_BUDGET_EXCEEDED


def test_work_grows_with_rows_values_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cheap for one record would be taken for cheap on a full batch."""
    spent: list[int] = []
    monkeypatch.setattr(Meter, "spend", lambda _self, units: spent.append(units))

    def total(criterion: Criterion, count: int, image: bytes = b"a") -> int:
        spent.clear()
        batch = records(*[{**ONE, IMAGE: image, ADDRESS: bytes(16)}] * count)
        Interpreter([channel_file(clauses(criterion))], TYPES).evaluate(EVERY_KIND, batch)
        return sum(spent)

    one_prefix = is_one(ADDRESS, AddressPrefix(bytes(16), 0), Operator.CIDR)
    two = replace(one_prefix, values=one_prefix.values * 2)
    assert total(ANYTHING, 100) > 50 * (total(ANYTHING, 2) - total(ANYTHING, 1)) > 0
    assert total(ANYTHING, 1, b"a" * 20) > total(ANYTHING, 1)
    assert total(two, 100) - total(one_prefix, 100) == 100 * work.UNITS_PER_PREFIX
    for criterion in (is_one(SIZE, 0, Operator.GREATER), Criterion(IMAGE, Operator.EXISTS, ())):
        assert total(criterion, 100) - total(criterion, 1) == 99 * work.UNITS_PER_ROW
    found = replace(is_one(IMAGE, b"zq"), negated=True)
    assert total(found, 100) - total(found, 1) == 99 * work.UNITS_PER_FOUND_ROW


def test_a_meter_forgets_one_instance_for_the_next() -> None:
    """Instances would pay for those before them."""
    meter = Meter(never, 0)
    meter.turn_to(1)
    meter.spend(work.units_of_batch(0))
    meter.turn_to(2)
    meter.spend(work.units_of_batch(0))
    with pytest.raises(OverBudgetError):
        meter.spend(1)


def test_texts_that_are_hit_all_over_are_judged_right_and_in_bounded_memory() -> None:
    """Texts made for it would fill the evaluator's memory, or hide what else is in them."""
    lines = [b"a" * 4000 + b" needle" * (row % 2) for row in range(40)]
    anchored = clauses(Criterion(COMMAND_LINE, Operator.CONTAINS, (b"aa",)))
    filtered = clauses(
        is_one(COMMAND_LINE, b"*", Operator.GLOB),
        Criterion(COMMAND_LINE, Operator.CONTAINS, (b"aa",), negated=True),
    )
    needle = clauses(Criterion(COMMAND_LINE, Operator.CONTAINS, (b"needle",)))
    engine = Interpreter([of_process(anchored, filtered, needle)], {PROCESS.number: PROCESS})
    for batch in (processes(lines), processes([*lines, b"a needle"])):
        evaluation = engine.evaluate(PROCESS, batch)
        assert not evaluation.faults
        assert rows_of(evaluation, "i0") == list(range(40))
        assert rows_of(evaluation, "i1") == list(range(40, len(batch)))
        assert rows_of(evaluation, "i2") == [*range(1, 40, 2), *range(40, len(batch))]


def test_a_pattern_that_is_hit_all_over_is_muted_and_the_others_are_not() -> None:
    """Hits without end would be collected batch by batch, or rare ones be left out with them."""
    matcher = HyperscanMatcher([Pattern(b"aa"), Pattern(b"needle"), Pattern(b"absent")])
    lines = processes([b"a" * 4000 + b" needle"] * 30)
    column = TextColumn(lines, PROCESS.field(COMMAND_LINE), np.arange(30))
    for _ in range(2):
        hits = matcher.search(column)
        assert hits.muted == {0}
        assert hits.rows.tolist() == list(range(30))
        assert hits.patterns.tolist() == [1] * 30


def test_many_patterns_together_are_muted_from_the_most_frequent_on() -> None:
    """Many patterns, each within what one may have, would take as long as they like."""
    patterns = [Pattern(b"a" * count) for count in range(1, 40)]
    hits = HyperscanMatcher([*patterns, Pattern(b"needle")]).search(
        TextColumn(
            processes([b"a" * 600 + b" needle"] * 30),
            PROCESS.field(COMMAND_LINE),
            np.arange(30),
        )
    )
    assert 0 in hits.muted
    assert len(hits.muted) < 39
    assert (hits.patterns == 39).sum() == 30


def all_muted(_records: int) -> int:
    """A budget of hits that the second one breaks."""
    return 1


@given(channel_file=CHANNEL_FILES, records=batches())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.parametrize("piece", [1, 64])
def test_muted_patterns_change_no_answer(
    piece: int, channel_file: ChannelFile, records: Records
) -> None:
    """Content would find less, or more, where a matcher has stopped listening."""
    expected = reference_evaluator.evaluate([channel_file], EVERY_KIND, records)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hyperscan_matcher, "hits_of_batch", all_muted)
        patched.setattr(hyperscan_matcher, "PIECE_BYTES", piece)
        engine = Interpreter([channel_file], TYPES, matcher=HyperscanMatcher)
        for _ in range(2):
            evaluation = engine.evaluate(EVERY_KIND, records)
            found = [(one.row, one.instance.id, one.clause) for one in evaluation.matches]
            assert found == expected
