"""Boolean formulas over criteria, and the clauses that say the same.

A formula is a Criterion, a constant, an input that this kind of event doesn't have (`Unseen`), or
`AllOf` / `AnyOf` formulas. Negation is never a node: `negate` turns a formula into its complement,
which is right because a criterion and its negated twin are complements, absent inputs included.
`all_of` and `any_of` simplify as they build; `clauses` gives the disjunctive normal form:

    1. every combination of one part of each AnyOf, capped
    2. a combination that contradicts itself is left out
    3. negated criteria of one kind become one, and what is said twice is said once
    4. a clause that another, shorter one includes is left out
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from content.limits import LIMITS
from content.model import ORDER_OPERATORS, Clause, Criterion, Operator
from content.sigma.refusal import RuleRefusedError, Searched, SigmaReason

COMBINATIONS = 4096
"""Most clauses that are looked at on the way to a normal form."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """A condition on a Sigma field that this kind of event does not have."""

    field: str


@dataclass(frozen=True, slots=True)
class AllOf:
    """All parts hold; at least two, none of them AllOf or constant."""

    parts: "tuple[Formula, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Any part holds; at least two, none of them AnyOf or constant."""

    parts: "tuple[Formula, ...]"


Formula = Criterion | Unseen | AllOf | AnyOf | bool


def all_of(parts: Iterable[Formula]) -> Formula:
    """The conjunction; True of no parts."""
    found: list[Formula] = []
    for part in parts:
        if part is False:
            return False
        if part is not True:
            found += part.parts if isinstance(part, AllOf) else (part,)
    merged = _merged(found, negated=True)
    return AllOf(merged) if len(merged) > 1 else next(iter(merged), True)


def any_of(parts: Iterable[Formula]) -> Formula:
    """The disjunction; False of no parts."""
    found: list[Formula] = []
    for part in parts:
        if part is True:
            return True
        if part is not False:
            found += part.parts if isinstance(part, AnyOf) else (part,)
    merged = _merged(found, negated=False)
    return AnyOf(merged) if len(merged) > 1 else next(iter(merged), False)


def negate(formula: Formula) -> Formula:
    """What holds exactly where the formula does not."""
    if isinstance(formula, bool):
        return not formula
    if isinstance(formula, Criterion):
        return replace(formula, negated=not formula.negated)
    if isinstance(formula, AllOf):
        return any_of(map(negate, formula.parts))
    if isinstance(formula, AnyOf):
        return all_of(map(negate, formula.parts))
    return formula


def clauses(formula: Formula) -> tuple[Clause, ...]:
    """The clauses of which any holds exactly where the formula does.

    Empty for what never holds; ValueError for the constant True, which no clause says.
    RuleRefusedError for an Unseen input that matters and for more clauses or criteria than an
    instance may have.
    """
    if formula is True:
        raise ValueError("no clause holds for every event")
    # 1. Combinations.
    combined = _combinations(formula)
    # 2 and 3. Without contradictions, each merged.
    merged = [_merged_criteria(one) for one in combined if not _contradicts(one)]
    # 4. Without what a shorter one includes.
    kept = _without_included(merged)
    _require_limits(kept)
    return tuple(Clause(one) for one in kept)


def _merged(parts: list[Formula], *, negated: bool) -> tuple[Formula, ...]:
    """The parts, with criteria that differ in their values only made one, in order.

    Any of several positive criteria is one with all their values; all of several negated ones too.
    """
    groups: dict[object, list[Formula]] = {}
    for part in parts:
        key = _merge_key(part) if isinstance(part, Criterion) and part.negated is negated else part
        groups.setdefault(key, []).append(part)
    return tuple(map(_one_of, groups.values()))


def _one_of(group: list[Formula]) -> Formula:
    """The first of equal formulas, with the values of all where they are criteria."""
    first = group[0]
    if not isinstance(first, Criterion):
        return first
    values = (value for one in group if isinstance(one, Criterion) for value in one.values)
    return replace(first, values=tuple(dict.fromkeys(values)))


def _merge_key(criterion: Criterion) -> object:
    """Equal for criteria that can be merged; the criterion itself where it takes one value."""
    if criterion.operator in ORDER_OPERATORS or criterion.operator is Operator.EXISTS:
        return criterion
    return (criterion.field, criterion.operator, criterion.case_sensitive, criterion.negated)


def _combinations(formula: Formula) -> list[tuple[Criterion, ...]]:
    if isinstance(formula, Criterion):
        return [(formula,)]
    if isinstance(formula, AnyOf):
        options = [one for part in formula.parts for one in _combinations(part)]
        _require_countable(len(options))
        return options
    if isinstance(formula, AllOf):
        found: list[tuple[Criterion, ...]] = [()]
        for part in formula.parts:
            options = _combinations(part)
            _require_countable(len(found) * len(options))
            found = [one + option for one in found for option in options]
        return found
    if isinstance(formula, Unseen):
        raise RuleRefusedError(
            SigmaReason.FIELD_NOT_SUPPLIED,
            "detection",
            f"{formula.field}, which not every event of this kind has",
            "fields that are supplied",
            Searched(formula.field),
        )
    return []


def _require_countable(count: int) -> None:
    if count > COMBINATIONS:
        raise _too_complex(f"{count} combinations")


def _contradicts(criteria: tuple[Criterion, ...]) -> bool:
    known = frozenset(criteria)
    return any(replace(one, negated=not one.negated) in known for one in criteria)


def _merged_criteria(criteria: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
    merged = _merged(list(dict.fromkeys(criteria)), negated=True)
    return tuple(one for one in merged if isinstance(one, Criterion))


def _without_included(found: list[tuple[Criterion, ...]]) -> list[tuple[Criterion, ...]]:
    sets = [frozenset(one) for one in found]
    return [
        one
        for index, one in enumerate(found)
        if not any(
            other < sets[index] or (other == sets[index] and number < index)
            for number, other in enumerate(sets)
        )
    ]


def _require_limits(found: list[tuple[Criterion, ...]]) -> None:
    if len(found) > LIMITS.clauses_per_instance:
        raise _too_complex(f"{len(found)} clauses")
    if any(len(one) > LIMITS.criteria_per_clause for one in found):
        raise _too_complex(f"{max(map(len, found))} criteria in a clause")


def _too_complex(found: str) -> RuleRefusedError:
    expected = (
        f"at most {LIMITS.clauses_per_instance} clauses of {LIMITS.criteria_per_clause} criteria"
    )
    return RuleRefusedError(SigmaReason.TOO_COMPLEX, "detection", found, expected)
