"""The Content Validator looks at nothing beyond a limit: a hostile file can't make it work longer.

What is over its limit is one problem, whatever stands behind it: in each case here that would be
refused for a reason of its own, if anybody looked.
"""

from dataclasses import replace
from typing import Any

import pytest

from content import regex_subset, validator
from content.channel_file import ChannelFile, Clause, Criterion, Operator, Sample
from content.limits import LIMITS
from content.reasons import Reason
from tests.unit.content.examples import (
    IMAGE,
    IMAGE_IS_SHELL,
    INSTANCE,
    MATCHING,
    OTHER,
    PROCESS,
    channel_file,
    problems_of,
    reasons,
    with_criterion,
    with_instance,
)

NO_FIELD = Criterion(PROCESS.arity + 1, Operator.EXISTS, ())
CLAUSE = Clause((IMAGE_IS_SHELL,))


def _samples(last: Sample) -> tuple[Sample, ...]:
    most = LIMITS.samples_per_instance
    return (MATCHING, *(replace(OTHER, name=f"{n}") for n in range(most - 1)), last)


@pytest.mark.parametrize(
    "change",
    [
        {"false_positives": ("a",) * LIMITS.false_positives_per_instance + (" ",)},
        {"references": ("a",) * LIMITS.references_per_instance + (" ",)},
        {"attack_techniques": ("T1059",) * LIMITS.attack_techniques_per_instance + ("x",)},
        {"clauses": (CLAUSE,) * LIMITS.clauses_per_instance + (Clause(()),)},
        {"clauses": (CLAUSE,) * LIMITS.clauses_per_instance + (Clause((NO_FIELD,)),)},
        {"clauses": (Clause((IMAGE_IS_SHELL,) * LIMITS.criteria_per_clause + (NO_FIELD,)),)},
        {"samples": _samples(replace(OTHER, name=" "))},
        {"samples": _samples(Sample("last", must_match=False, inputs={}))},
    ],
)
def test_what_is_over_a_limit_is_not_looked_at(change: dict[str, Any]) -> None:
    """6, 8 to 10, 21: one instance could hold up the validator for as long as its author likes."""
    assert reasons(problems_of(with_instance(**change))) == [Reason.LIMIT_EXCEEDED]


def test_values_over_their_limit_are_not_looked_at() -> None:
    """14: a criterion with a million expressions would have them all parsed."""
    values = (b"x",) * LIMITS.values_per_criterion
    found = problems_of(with_criterion(IMAGE, Operator.EQUALS, *values, b" "))
    assert reasons(found) == [Reason.LIMIT_EXCEEDED]


def _many(count: int, expression: bytes) -> ChannelFile:
    criterion = Criterion(IMAGE, Operator.REGEX, (expression,))
    one = replace(INSTANCE, clauses=(Clause((criterion,)),))
    return channel_file(*(replace(one, id=f"copy-{number}") for number in range(count)))


def test_instances_are_not_looked_at_once_the_report_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file of 20,000 bad instances would be read to its end for 100 problems."""
    parsed: list[bytes] = []

    def counted(expression: bytes) -> regex_subset.Node:
        parsed.append(expression)
        return regex_subset.parse(expression)

    monkeypatch.setattr(validator, "parse", counted)
    found = problems_of(_many(3 * LIMITS.problems, b"(a"))
    assert reasons(found) == [Reason.EXPRESSION_NOT_ALLOWED] * LIMITS.problems
    assert len(parsed) == LIMITS.problems
