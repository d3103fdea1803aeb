"""How one clause is found and then decided.

    1. every criterion is checked against the Template Type (`criteria.require_sound`)
    2. each is judged by how rare it is; the rarest that an index can hold becomes the anchor
    3. where the anchor is weak, or there is none, the other texts are searched for batch-wise, too
    4. each criterion becomes a filter, cheapest first; the anchor's comes last and is exact

So an event that matches nothing is met by one search per text field and a few whole-column
comparisons, whatever the number of clauses.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from content.matching.criteria import require_sound, text_judge
from content.matching.filters import (
    AddressFilter,
    Filter,
    FoundFilter,
    NumberFilter,
    PresenceFilter,
    TextFilter,
)
from content.matching.pattern import Pattern, patterns_of
from content.matching.work import text_work
from content.model import AddressPrefix, Clause, Criterion, Operator
from content.template_type import Field, Kind, TemplateType

WEAK_BITS = 7.0
"""An anchor that more than one event in 2 ** WEAK_BITS is guessed to satisfy is weak."""

BITS_OF_A_NUMBER = 9.0
BITS_OF_ZERO_OR_ONE = 1.0
"""Results, user ids and flags are mostly these."""

BITS_OF_AN_ADDRESS = 16.0


@dataclass(frozen=True, slots=True)
class Part:
    """One criterion of a clause, looked at from all sides.

    patterns: values of a criterion on text; empty for other kinds and for `exists`.
    bits: a guess how rare it is; 0 where no index can hold it.
    """

    criterion: Criterion
    field: Field
    patterns: tuple[Pattern, ...]
    bits: float

    @property
    def searchable(self) -> bool:
        """Whether a matcher can look for its values."""
        return bool(self.patterns) and not any(one.matches_empty for one in self.patterns)


@dataclass(frozen=True, slots=True)
class ClausePlan:
    """A clause taken apart.

    anchor: the part that an index finds it by; None where all events are candidates.
    """

    parts: tuple[Part, ...]
    anchor: Part | None

    @property
    def searched(self) -> tuple[Part, ...]:
        """Texts beside the anchor that are searched for in the whole batch."""
        if self.anchor is not None and self.anchor.bits >= WEAK_BITS:
            return ()
        return tuple(part for part in self.parts if part.searchable and part is not self.anchor)


def plan_of(clause: Clause, template_type: TemplateType, place: str) -> ClausePlan:
    """The plan of a clause; ContentError at `place` where it doesn't fit the Template Type."""
    parts = tuple(
        _part(criterion, require_sound(criterion, template_type, where))
        for index, criterion in enumerate(clause.criteria)
        for where in [f"{place}.criteria[{index}]"]
    )
    rarest = max(parts, key=lambda part: part.bits, default=None)
    return ClausePlan(parts, rarest if rarest is not None and rarest.bits > 0 else None)


def filters_of(plan: ClausePlan, numbers: Mapping[int, tuple[int, ...]]) -> tuple[Filter, ...]:
    """The clause's filters, cheapest first.

    numbers: for each searched part, by its place in the clause, the numbers of its patterns in the
    field's index.
    """
    ranked: list[tuple[int, Filter]] = []
    for index, part in enumerate(plan.parts):
        one = _filter(part, numbers.get(index))
        cost = (NumberFilter, PresenceFilter, AddressFilter, FoundFilter, TextFilter)
        ranked.append((cost.index(type(one)) + (part is plan.anchor) * len(cost), one))
    ranked.sort(key=lambda pair: pair[0])
    return tuple(one for _, one in ranked)


def _filter(part: Part, numbers: Sequence[int] | None) -> Filter:
    criterion, field = part.criterion, part.field
    if criterion.operator is Operator.EXISTS:
        return PresenceFilter(field.number, criterion.negated)
    if field.kind is Kind.ADDRESS:
        return AddressFilter(criterion, field)
    if field.kind is not Kind.TEXT:
        return NumberFilter(criterion, field)
    work = text_work(part.patterns, field.capacity)
    exact = TextFilter(field.number, criterion.negated, text_judge(part.patterns), work)
    return exact if numbers is None else FoundFilter(tuple(numbers), exact)


def _part(criterion: Criterion, field: Field) -> Part:
    on_text = field.kind is Kind.TEXT and criterion.operator is not Operator.EXISTS
    patterns = patterns_of(criterion) if on_text else ()
    if criterion.negated or criterion.operator is Operator.EXISTS:
        return Part(criterion, field, patterns, 0.0)
    if on_text:
        empty = any(one.matches_empty for one in patterns)
        bits = 0.0 if empty else _combined([one.bits for one in patterns])
    elif field.kind is Kind.ADDRESS:
        bits = _combined([_address_bits(value) for value in criterion.values])
    elif criterion.operator is Operator.EQUALS:
        bits = _combined([_number_bits(value, field) for value in criterion.values])
    else:
        bits = 0.0
    return Part(criterion, field, patterns, bits)


def _combined(bits: Sequence[float]) -> float:
    """How rare it is that any of several holds; at least a little, so that an index holds it."""
    return max(0.01, -math.log2(min(1.0, sum(2.0**-one for one in bits))))


def _number_bits(value: object, field: Field) -> float:
    if field.kind is Kind.ENUM:
        return math.log2(max(2, len(field.values)))
    return BITS_OF_ZERO_OR_ONE if value in (0, 1) else BITS_OF_A_NUMBER


def _address_bits(value: object) -> float:
    if not isinstance(value, AddressPrefix):
        raise TypeError(f"{type(value).__name__} is not an address")
    return BITS_OF_AN_ADDRESS * value.length / (8 * len(value.address))
