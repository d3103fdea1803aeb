"""Formulas and the clauses that are made of them say the same."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.limits import LIMITS
from content.model import Clause, Criterion, Operator
from content.sigma.formula import (
    AllOf,
    AnyOf,
    Formula,
    Unseen,
    all_of,
    any_of,
    clauses,
    negate,
)
from content.sigma.refusal import RuleRefusedError, SigmaReason

ATOMS = tuple(
    Criterion(field, Operator.EQUALS, (value,), case_sensitive=case_sensitive)
    for field, value, case_sensitive in product((1, 2), (b"a", b"b"), (False, True))
)
"""Criteria of which several differ in their value only, so that they are merged."""

LEAVES: st.SearchStrategy[Formula] = st.one_of(st.sampled_from(ATOMS), st.booleans())


def build(kind: str, parts: list[Formula]) -> Formula:
    """A formula over parts."""
    return {"all": all_of, "any": any_of}[kind](parts)


FORMULAS: st.SearchStrategy[Formula] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(build, st.sampled_from(["all", "any"]), st.lists(inner, max_size=4)),
        inner.map(negate),
    ),
    max_leaves=10,
)
TRUTHS = st.lists(st.booleans(), min_size=len(ATOMS), max_size=len(ATOMS))


def criterion_holds(criterion: Criterion, truths: dict[Criterion, bool]) -> bool:
    """Any of the values, each of them an atom; or none, negated."""
    values = (
        truths[replace(criterion, values=(value,), negated=False)] for value in criterion.values
    )
    return any(values) is not criterion.negated


def holds(formula: Formula, truths: dict[Criterion, bool]) -> bool:
    """What a formula means."""
    if isinstance(formula, bool):
        return formula
    if isinstance(formula, AllOf):
        return all(holds(part, truths) for part in formula.parts)
    if isinstance(formula, AnyOf):
        return any(holds(part, truths) for part in formula.parts)
    assert isinstance(formula, Criterion)
    return criterion_holds(formula, truths)


@given(st.sampled_from(["all", "any"]), st.lists(FORMULAS, max_size=4), TRUTHS)
def test_building_keeps_the_meaning(kind: str, parts: list[Formula], values: list[bool]) -> None:
    """Merging or leaving out parts would change what a rule finds."""
    truths = dict(zip(ATOMS, values, strict=True))
    expected = {"all": all, "any": any}[kind](holds(part, truths) for part in parts)
    assert holds(build(kind, parts), truths) is expected


@given(FORMULAS, TRUTHS)
def test_negation_is_the_complement(formula: Formula, values: list[bool]) -> None:
    """A filter would let through what it should stop."""
    truths = dict(zip(ATOMS, values, strict=True))
    assert holds(negate(formula), truths) is not holds(formula, truths)


@given(FORMULAS.filter(lambda one: one is not True), TRUTHS)
def test_clauses_say_what_the_formula_says(formula: Formula, values: list[bool]) -> None:
    """A combination would be lost, or one too many left."""
    truths = dict(zip(ATOMS, values, strict=True))
    found = any(
        all(criterion_holds(one, truths) for one in clause.criteria) for clause in clauses(formula)
    )
    assert found is holds(formula, truths)


def test_clauses_are_as_few_as_can_be_seen() -> None:
    """Contradictions, repetitions and included clauses would cost the sensor time."""
    first, second, third = ATOMS[0], ATOMS[2], ATOMS[4]
    formula = any_of(
        [
            all_of([first, second]),
            all_of([second, first]),
            all_of([first, second, third]),
            all_of([third, negate(third)]),
        ]
    )
    assert clauses(formula) == (Clause((first, second)),)
    assert clauses(False) == ()


@pytest.mark.parametrize(
    "other",
    [
        Criterion(2, Operator.EQUALS, (b"b",)),
        Criterion(1, Operator.CONTAINS, (b"b",)),
        Criterion(1, Operator.EQUALS, (b"b",), case_sensitive=True),
        Criterion(1, Operator.EQUALS, (b"b",), negated=True),
    ],
)
def test_only_what_differs_in_values_is_merged(other: Criterion) -> None:
    """A value would be looked for in another field, in another way or with other case."""
    first = Criterion(1, Operator.EQUALS, (b"a",))
    assert any_of([first, other]) == AnyOf((first, other))
    assert any_of([first, replace(first, values=(b"b",))]) == replace(first, values=(b"a", b"b"))
    assert all_of([negate(first), negate(other)]) == AllOf((negate(first), negate(other)))


@pytest.mark.parametrize("operator", [Operator.LESS, Operator.EXISTS])
def test_operators_of_one_value_are_not_merged(operator: Operator) -> None:
    """A comparison would get two values, and be refused."""
    values = () if operator is Operator.EXISTS else (3,)
    first, other = Criterion(1, operator, values), Criterion(2, operator, values)
    assert any_of([first, other, first]) == AnyOf((first, other))
    second = Criterion(1, Operator.LESS, (4,))
    assert any_of([first, second]) == AnyOf((first, second))


def test_limits() -> None:
    """A rule could become more than a Channel File may hold, or take all memory."""
    pairs = [
        any_of(
            [
                Criterion(1, Operator.EQUALS, (b"%d" % number,)),
                Criterion(2, Operator.EQUALS, (b"%d" % number,)),
            ]
        )
        for number in range(40)
    ]
    most = LIMITS.clauses_per_instance.bit_length() - 1
    assert len(clauses(all_of(pairs[:most]))) == LIMITS.clauses_per_instance
    many = [Criterion(1, Operator.CONTAINS, (b"%d" % one,)) for one in range(33)]
    assert len(clauses(all_of(many[:-1]))[0].criteria) == LIMITS.criteria_per_clause
    for formula in (all_of(pairs[: most + 1]), all_of(pairs), all_of(many)):
        with pytest.raises(RuleRefusedError) as refused:
            clauses(formula)
        assert refused.value.reason is SigmaReason.TOO_COMPLEX


def test_what_is_not_seen_matters_only_where_it_decides() -> None:
    """A rule would be refused for a field that its other conditions rule out."""
    unseen = Unseen("SourcePort")
    assert all_of([False, unseen]) is False
    with pytest.raises(RuleRefusedError) as refused:
        clauses(any_of([ATOMS[0], negate(unseen)]))
    assert refused.value.reason is SigmaReason.FIELD_NOT_SUPPLIED


def test_a_constant_is_no_clause() -> None:
    """A clause without criteria would match every event."""
    with pytest.raises(ValueError, match="every event"):
        clauses(True)
