"""The Content Interpreter: evaluates events against Template Instances.

Construction, once, for one set of Channel Files:
    1. every Channel File is for a Template Type that is supplied, in number, version, arity and
       fingerprint
    2. every criterion names a supplied field and has values of its kind
    3. clauses are planned and indexed, and patterns compiled (`content.matching`)
Whatever fails raises ContentError with all that is known; nothing relies on the validator.

Each batch of records:
    1. the Template Type is the one that content was checked against; if not, nothing is matched
       and each of its instances is reported as faulty
    2. records whose header disagrees in type, version or arity are left out and counted
    3. the indexes name candidates; each candidate clause decides on its rows
An instance that breaks a check or its work budget (`content.matching.work`) while it runs is
reported and skipped from then on; all others are evaluated on every record of the batch as ever.
What it found before it exceeded its budget counts, and on how many records it was not decided any
more is told with every batch.

An instance matches where any of its clauses does, a clause where all its criteria do. What a
criterion means is written in `content.matching.criteria`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import re2

from content.matching.batch import Batch, BoundsError
from content.matching.column import Rows
from content.matching.default_matcher import build_default
from content.matching.garbage import collection_paused
from content.matching.matcher import MatcherFactory
from content.matching.program import Candidate, ClauseSource, Program
from content.matching.work import Clock, Meter, OverBudgetError
from content.model import ChannelFile, TemplateInstance, TemplateTypeReference
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.record import Records, dtype, header_problem
from content.template_type import TemplateType

Found = dict[tuple[int, int], int]
"""Row and number of an instance that matched it, with the first clause that did."""

Note = Callable[[int, int], None]
"""Told what is being evaluated: row in the batch, number of the instance over all files."""


@dataclass(frozen=True, slots=True)
class Match:
    """An instance matched a record; `clause` is the first of its clauses that did."""

    row: int
    channel_file: ChannelFile
    instance: TemplateInstance
    clause: int


@dataclass(frozen=True, slots=True)
class InstanceFault:
    """An instance broke a check or its budget at run time and is skipped from now on.

    row: the first record that it was being evaluated on.
    """

    channel_file: ChannelFile
    instance: TemplateInstance
    row: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Undecided:
    """On how many records of a batch a skipped instance might have matched, and nobody knows."""

    channel_file: ChannelFile
    instance: TemplateInstance
    rows: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a batch came to.

    matches: at most one per record and instance, ordered by record, then as in the content.
    faults: instances that are skipped from now on.
    refused_rows: records whose header disagrees in type, version or arity.
    undecided: instances that were skipped, now or since an earlier batch, and candidates here.
    """

    matches: list[Match]
    faults: list[InstanceFault]
    refused_rows: int
    undecided: list[Undecided] = field(default_factory=list)


class Engine(Protocol):
    """Anything that evaluates records; the Content Interpreter is one."""

    def evaluate(self, template_type: TemplateType, records: Records) -> Evaluation:
        """Evaluate a batch of records of one Template Type."""
        ...


@dataclass(frozen=True, slots=True)
class Owner:
    """One instance, the file that it came in and its place there."""

    channel_file: ChannelFile
    index: int
    instance: TemplateInstance


class Interpreter:
    """An `Engine`.

    channel_files: what to evaluate, for life.
    types: the Template Types that the sensor supplies, by number.
    matcher: builds what searches texts; Hyperscan where it runs, else RE2.
    note: told before a candidate is looked at.
    clock: processor time of this thread in nanoseconds, for the work budget. Raises ContentError.
    """

    def __init__(
        self,
        channel_files: Sequence[ChannelFile],
        types: Mapping[int, TemplateType],
        *,
        matcher: MatcherFactory = build_default,
        note: Note | None = None,
        clock: Clock = time.thread_time_ns,
    ) -> None:
        for channel_file in channel_files:
            _require_supplied(channel_file, types)
        self._owners = [
            Owner(channel_file, index, instance)
            for channel_file in channel_files
            for index, instance in enumerate(channel_file.instances)
        ]
        self._note = note
        self._clock = clock
        self._skipped: set[int] = set()
        self._programs = {
            number: Program(types[number], sources, matcher)
            for number, sources in self._sources().items()
        }
        self._dtypes = {
            number: dtype(program.template_type) for number, program in self._programs.items()
        }

    def evaluate(self, template_type: TemplateType, records: Records) -> Evaluation:
        """Evaluate records, shape (n,), dtype(template_type); they are only read.

        Raises ValueError for records of another dtype.
        """
        disagrees = header_problem(template_type, records)
        evaluation = Evaluation([], [], int(np.count_nonzero(disagrees)))
        program = self._programs.get(template_type.number)
        if program is None or not len(records):
            return evaluation
        # 1. the Template Type is the one that content was checked against
        if found := _difference(template_type, program.template_type):
            self._refuse_all(template_type.number, found, evaluation, len(records))
            return evaluation
        if records.dtype != self._dtypes[template_type.number]:
            raise ValueError(f"records of {template_type.name} have dtype {records.dtype}")
        # 2. records whose header disagrees are left out
        rows = np.flatnonzero(~disagrees)
        batch = Batch(program.template_type, records, rows, Meter(self._clock, len(rows)))
        # 3. candidates decide
        if len(batch.rows):
            with collection_paused():
                self._decide(program, batch, evaluation)
        return evaluation

    def _decide(self, program: Program, batch: Batch, evaluation: Evaluation) -> None:
        found: Found = {}
        left: dict[int, list[Rows]] = {}
        for candidate in program.candidates(batch):
            number, first = candidate.source.owner, int(candidate.rows[0])
            if number not in self._skipped:
                try:
                    for row in self._matched(candidate, batch):
                        found.setdefault((row, number), candidate.source.index)
                except _BrokenError as broken:
                    self._skip(number, first, broken, evaluation)
                    if broken.reason != Reason.WORK_BUDGET_EXCEEDED:
                        found = {key: value for key, value in found.items() if key[1] != number}
            if number in self._skipped:
                left.setdefault(number, []).append(candidate.rows)
        for (row, number), clause in sorted(found.items()):
            owner = self._owners[number]
            evaluation.matches.append(Match(row, owner.channel_file, owner.instance, clause))
        self._tell_undecided(left, found, evaluation)

    def _tell_undecided(
        self, left: Mapping[int, Sequence[Rows]], found: Found, evaluation: Evaluation
    ) -> None:
        """Rows that skipped instances were candidates on, without those that they matched."""
        for number, groups in left.items():
            rows = np.unique(np.concatenate(groups)).tolist()
            undecided = sum((row, number) not in found for row in rows)
            self._undecided(number, undecided, evaluation)

    def _matched(self, candidate: Candidate, batch: Batch) -> list[int]:
        """Rows that a clause matches; _BrokenError where it breaks a check or its budget."""
        owner = candidate.source.owner
        if self._note is not None:
            self._note(int(candidate.rows[0]), owner)
        try:
            batch.meter.turn_to(owner)
            rows: list[int] = candidate.matched(batch).tolist()
        except OverBudgetError as error:
            raise _BrokenError(Reason.WORK_BUDGET_EXCEEDED, str(error)) from error
        except BoundsError as error:
            raise _BrokenError(Reason.FIELD_OUT_OF_RANGE, str(error)) from error
        except (ArithmeticError, LookupError, TypeError, ValueError, re2.error) as error:
            detail = f"{type(error).__name__}: {error}"
            raise _BrokenError(Reason.RUN_TIME_CHECK, detail) from error
        return rows

    def _refuse_all(
        self, template_type: int, found: Problem, evaluation: Evaluation, records: int
    ) -> None:
        broken = _BrokenError(found.reason, f"found {found.found}, expected {found.expected}")
        for number, owner in enumerate(self._owners):
            if owner.channel_file.template_type.number == template_type:
                if number not in self._skipped:
                    self._skip(number, 0, broken, evaluation)
                self._undecided(number, records, evaluation)

    def _skip(self, number: int, row: int, broken: "_BrokenError", evaluation: Evaluation) -> None:
        self._skipped.add(number)
        owner = self._owners[number]
        fault = InstanceFault(owner.channel_file, owner.instance, row, broken.reason, str(broken))
        evaluation.faults.append(fault)

    def _undecided(self, number: int, rows: int, evaluation: Evaluation) -> None:
        if rows:
            owner = self._owners[number]
            evaluation.undecided.append(Undecided(owner.channel_file, owner.instance, rows))

    def _sources(self) -> dict[int, list[ClauseSource]]:
        """All clauses by Template Type, in the order of the content."""
        sources: dict[int, list[ClauseSource]] = {}
        for number, owner in enumerate(self._owners):
            of_type = sources.setdefault(owner.channel_file.template_type.number, [])
            for index, clause in enumerate(owner.instance.clauses):
                place = f"instances[{owner.index}].clauses[{index}]"
                of_type.append(ClauseSource(clause, number, index, place))
        return sources


class _BrokenError(Exception):
    """An instance broke a check or its budget."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


def _require_supplied(channel_file: ChannelFile, types: Mapping[int, TemplateType]) -> None:
    """ContentError unless the file was written for exactly what is supplied."""
    wanted = channel_file.template_type
    supplied = types.get(wanted.number)
    if supplied is None:
        raise ContentError(
            [
                Problem(
                    reason=Reason.UNKNOWN_TEMPLATE_TYPE,
                    place="template_type.number",
                    found=f"Template Type {wanted.number}",
                    expected=f"one of {', '.join(map(str, sorted(types)))}",
                )
            ]
        )
    if problem := _difference(wanted, supplied):
        raise ContentError([problem])


def _difference(
    found: TemplateTypeReference | TemplateType, supplied: TemplateType
) -> Problem | None:
    """The first of version, arity and fingerprint in which two Template Types differ."""
    if found is supplied:
        return None
    compared = (
        (Reason.SCHEMA_VERSION_MISMATCH, "schema_version", found.version, supplied.version),
        (Reason.ARITY_MISMATCH, "arity", found.arity, supplied.arity),
        (
            Reason.FINGERPRINT_MISMATCH,
            "fingerprint",
            found.fingerprint.hex(),
            supplied.fingerprint.hex(),
        ),
    )
    for reason, name, one, other in compared:
        if one != other:
            return Problem(reason, f"template_type.{name}", str(one), str(other))
    return None
