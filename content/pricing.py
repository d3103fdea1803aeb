"""What content will cost, estimated before anybody runs it, in the units of the work budget.

A price is for ordinary events and what an instance adds; the search that a text field takes once it
is searched at all is nobody's. From how a clause would be planned (`content.matching.clause_plan`):

    1. its patterns are searched for: hits, and expressions that no literal spares the matcher
    2. events in which its anchor is found are candidates; without an anchor all are
    3. candidates go through its filters, cheapest first; each lets some pass
    4. what passes all is a match, and is made one

`worst` is what one criterion may take on a text that somebody has made for it. How well estimates
and measurements agree is measured by `bench.pricing`. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from content.limits import LIMITS
from content.matching.clause_plan import ClausePlan, Part, plan_of
from content.matching.odds import (
    ORDINARY_TEXT_BYTES,
    is_risky,
    odds_of,
    units_to_compile,
    units_to_search,
)
from content.matching.pattern import Pattern
from content.matching.work import (
    UNITS_PER_FILTER,
    UNITS_PER_FOUND_ROW,
    UNITS_PER_HIT,
    UNITS_PER_POSITION_AND_BYTE,
    UNITS_PER_PREFIX,
    UNITS_PER_ROW,
    text_work,
)
from content.model import ORDER_OPERATORS, Operator, TemplateInstance
from content.regex_subset import positions
from content.template_type import Kind, TemplateType

BATCH_RECORDS = 4096
"""A full batch: what is done once for all of its records is divided by so many."""

UNITS_PER_CANDIDATE = 15_000
"""Finding and noting a clause that is a candidate somewhere in a batch."""

UNITS_PER_MATCH = 600

SHARE_OF_AN_ORDER = 0.5
"""Half of the events are taken to satisfy `less`, `greater` and the like."""


@dataclass(frozen=True, slots=True)
class CriterionPrice:
    """What one criterion adds.

    search: looking for its values in an ordinary event. judge: deciding on candidates, per event.
    compile: once. worst: on one record, with a text made for it. share: of events that satisfy it.
    """

    search: float = 0.0
    judge: float = 0.0
    compile: float = 0.0
    worst: float = 0.0
    share: float = 1.0

    @property
    def units(self) -> float:
        """Per ordinary event."""
        return self.search + self.judge


@dataclass(frozen=True, slots=True)
class ClausePrice:
    """What one clause adds.

    candidates: share of ordinary events that its filters have to decide on. matches: the same of
    events that it matches. criteria: in the order of the content.
    """

    criteria: tuple[CriterionPrice, ...]
    candidates: float
    matches: float
    has_anchor: bool

    @property
    def units(self) -> float:
        """Per ordinary event."""
        often = min(1.0, self.candidates * BATCH_RECORDS) / BATCH_RECORDS
        once = often * (UNITS_PER_CANDIDATE + UNITS_PER_FILTER * len(self.criteria))
        criteria = sum(one.units for one in self.criteria)
        return once + criteria + self.matches * UNITS_PER_MATCH

    @property
    def compile(self) -> float:
        """Once."""
        return sum(one.compile for one in self.criteria)


@dataclass(frozen=True, slots=True)
class InstancePrice:
    """What one instance adds: units per ordinary event, and once to be made ready."""

    clauses: tuple[ClausePrice, ...]

    @property
    def units(self) -> float:
        """Per ordinary event."""
        return sum(one.units for one in self.clauses)

    @property
    def compile(self) -> float:
        """Once."""
        return sum(one.compile for one in self.clauses)


def price(instance: TemplateInstance, template_type: TemplateType, place: str) -> InstancePrice:
    """The price of a valid instance; ContentError at `place` where it doesn't fit the type."""
    return InstancePrice(
        tuple(
            _clause(plan_of(clause, template_type, f"{place}.clauses[{index}]"))
            for index, clause in enumerate(instance.clauses)
        )
    )


def _clause(plan: ClausePlan) -> ClausePrice:
    anchor = plan.anchor
    candidates = rows = 1.0 if anchor is None else _share(anchor)
    prices: dict[int, CriterionPrice] = {}
    for index in _in_order_of_filters(plan):
        part = plan.parts[index]
        searched = part is anchor or part in plan.searched
        share = 1.0 if part is anchor else _share(part)
        prices[index] = CriterionPrice(
            search=_search(part.patterns) if searched else 0.0,
            judge=rows * _per_row(part, found=searched and part is not anchor),
            compile=sum(map(units_to_compile, part.patterns)) if searched else 0.0,
            worst=_worst(part),
            share=_share(part),
        )
        rows *= share
    criteria = tuple(prices[index] for index in range(len(plan.parts)))
    return ClausePrice(criteria, candidates, rows, anchor is not None)


def _in_order_of_filters(plan: ClausePlan) -> Iterator[int]:
    """As `filters_of` ranks them: whole columns, what was found, text by text, the anchor."""

    def rank(index: int) -> tuple[bool, bool, bool]:
        part = plan.parts[index]
        return part is plan.anchor, bool(part.patterns), part not in plan.searched

    yield from sorted(range(len(plan.parts)), key=rank)


def _search(patterns: Sequence[Pattern]) -> float:
    """Finding the patterns of a searched criterion in one text, expected."""
    return sum(UNITS_PER_HIT * odds_of(one).hits + units_to_search(one) for one in patterns)


def _per_row(part: Part, *, found: bool) -> float:
    """Deciding a criterion on one candidate."""
    if found:
        return UNITS_PER_FOUND_ROW
    if part.patterns:
        size = min(ORDINARY_TEXT_BYTES, part.field.capacity)
        return text_work(part.patterns, part.field.capacity).units(1, size)
    if part.field.kind is Kind.ADDRESS:
        return UNITS_PER_ROW + UNITS_PER_PREFIX * len(part.criterion.values)
    return UNITS_PER_ROW


def _worst(part: Part) -> float:
    """Deciding a criterion on a text that fills its field and was made for it."""
    if not part.patterns:
        return _per_row(part, found=False)
    capacity = part.field.capacity
    trees = [one.body for one in part.patterns if not isinstance(one.body, bytes)]
    followed = sum(positions(tree) for tree in trees if is_risky(tree))
    counted = text_work(part.patterns, capacity).units(1, capacity)
    # Beyond what is counted there is the clock, which leaves more room.
    by_clock = followed * UNITS_PER_POSITION_AND_BYTE * capacity / LIMITS.work_nanoseconds_per_unit
    return max(counted, by_clock)


def _share(part: Part) -> float:
    """Of ordinary events, how many satisfy a criterion."""
    criterion = part.criterion
    if criterion.operator is Operator.EXISTS:
        return 0.0 if criterion.negated else 1.0
    if part.patterns:
        share = min(1.0, sum(odds_of(one).share for one in part.patterns))
    elif criterion.operator in ORDER_OPERATORS:
        share = SHARE_OF_AN_ORDER
    else:
        share = 2.0**-part.bits if not criterion.negated else 0.0
    return 1.0 - share if criterion.negated else share
