"""All clauses of one Template Type, ready to run on batches.

Construction: every clause is planned, entered into the index of its anchor (an expression by a rare
literal of it, if it has one), and the matchers are built. A batch: the indexes name candidates, and
each candidate clause filters its rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from content.matching.anchors import AddressIndex, Candidates, NumberIndex, TextIndex
from content.matching.batch import Batch
from content.matching.clause_plan import ClausePlan, Part, filters_of, plan_of
from content.matching.column import Rows
from content.matching.criteria import prefix_bits
from content.matching.filters import Filter
from content.matching.garbage import collection_paused
from content.matching.matcher import MatcherError, MatcherFactory
from content.matching.pattern import needle
from content.model import Clause
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.template_type import Field, Kind, TemplateType


@dataclass(frozen=True, slots=True)
class ClauseSource:
    """A clause and where it stands.

    owner: number of its instance, for whoever asks for matches.
    index: number of the clause within the instance.
    place: path into the content, for problems.
    """

    clause: Clause
    owner: int
    index: int
    place: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A clause with the rows that it may match; `filters` decide."""

    source: ClauseSource
    filters: tuple[Filter, ...]
    rows: Rows

    def matched(self, batch: Batch) -> Rows:
        """The rows that the clause matches."""
        rows = self.rows
        for one in self.filters:
            if not len(rows):
                break
            rows = one.keep(batch, rows)
        return rows


class Program:
    """Raises ContentError for a clause that does not fit the Template Type."""

    def __init__(
        self,
        template_type: TemplateType,
        sources: Sequence[ClauseSource],
        factory: MatcherFactory,
    ) -> None:
        self.template_type = template_type
        self._sources = sources
        self._texts: dict[int, TextIndex] = {}
        self._numbers: dict[int, NumberIndex] = {}
        self._addresses: dict[int, AddressIndex] = {}
        self._everywhere: list[int] = []
        # Nearly all that is made here is kept and none of it is in cycles: the collector would go
        # through ever more objects, again and again, and find nothing.
        with collection_paused():
            self._filters = [self._enter(number, source) for number, source in enumerate(sources)]
            self._build_matchers(factory)

    def candidates(self, batch: Batch) -> Iterator[Candidate]:
        """Clauses that may match rows of the batch, in the order of the content."""
        found: dict[int, list[Rows]] = {number: [batch.rows] for number in self._everywhere}
        for clause, rows in self._indexed(batch):
            found.setdefault(clause, []).append(rows)
        for clause in sorted(found):
            groups = found[clause]
            rows = groups[0] if len(groups) == 1 else np.unique(np.concatenate(groups))
            yield Candidate(self._sources[clause], self._filters[clause], rows)

    def _indexed(self, batch: Batch) -> Iterator[Candidates]:
        for texts in self._texts.values():
            yield from texts.candidates(batch)
        for numbers in self._numbers.values():
            yield from numbers.candidates(batch)
        for addresses in self._addresses.values():
            yield from addresses.candidates(batch)

    def _enter(self, number: int, source: ClauseSource) -> tuple[Filter, ...]:
        """Put a clause into the indexes; its filters."""
        try:
            plan = plan_of(source.clause, self.template_type, source.place)
            searched = {
                plan.parts.index(part): self._text_index(part.field).add(part.patterns)
                for part in plan.searched
            }
            filters = filters_of(plan, searched)
        except MatcherError as error:
            raise ContentError([_refused(source.place, error)]) from error
        self._anchor(number, plan)
        return filters

    def _anchor(self, number: int, plan: ClausePlan) -> None:
        if plan.anchor is None:
            self._everywhere.append(number)
            return
        part: Part = plan.anchor
        field, values = part.field, part.criterion.values
        if field.kind is Kind.TEXT:
            self._text_index(field).add_clause(number, map(needle, part.patterns))
        elif field.kind is Kind.ADDRESS:
            index = self._addresses.setdefault(field.number, AddressIndex(field.number))
            index.add_clause(number, map(prefix_bits, values))
        else:
            numbers = self._numbers.setdefault(field.number, NumberIndex(field))
            numbers.add_clause(number, {value for value in values if isinstance(value, int)})

    def _text_index(self, field: Field) -> TextIndex:
        return self._texts.setdefault(field.number, TextIndex(field.number))

    def _build_matchers(self, factory: MatcherFactory) -> None:
        for number, index in self._texts.items():
            try:
                index.build(factory)
            except MatcherError as error:
                raise ContentError([_refused(f"field {number}", error)]) from error


def _refused(place: str, error: MatcherError) -> Problem:
    return Problem(
        reason=Reason.EXPRESSION_NOT_ALLOWED,
        place=place,
        found=str(error),
        expected="an expression that the matchers can compile",
    )
