"""docs/containment.md has the rules as they are, in their order."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.deaths import (
    DEATHS_OF_A_FILE,
    INQUEST_RULES,
    RULES,
    Action,
    Rule,
)
from agent.evaluator.inquest import PARTS
from agent.supervisor.limits import LIMITS
from lab.deaths.kinds import KINDS

PAGE = (Path(__file__).parents[3] / "docs" / "containment.md").read_text(encoding="utf-8")


def table(rules: Sequence[Rule]) -> str:
    """The rules as the page has them."""
    rows = [f"| {one.when} | {one.then} | `{one.action.told}` |" for one in rules]
    return "\n".join(["| When | Then | Called |", "|---|---|---|", *rows])


@pytest.mark.parametrize(("name", "rules"), [("rules", RULES), ("inquest rules", INQUEST_RULES)])
def test_rules_are_those_of_the_code(name: str, rules: Sequence[Rule]) -> None:
    """Operators would expect something else than what the sensor does."""
    found = PAGE.partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- end of {name} -->")[0]
    assert found == table(rules)


def test_every_kind_of_death_is_on_the_page() -> None:
    """A kind would be measured, or not be, and the page say otherwise."""
    found = PAGE.partition("<!-- kinds -->\n")[2].partition("\n<!-- end of kinds -->")[0]
    assert [row.split(" | ")[0].strip("| ") for row in found.splitlines()[2:]] == list(KINDS)


def test_tests_and_benchmarks_that_are_named_exist() -> None:
    """Somebody would look for a proof that is not there."""
    root = Path(__file__).parents[3]
    for name in set(re.findall(r"`(test_\w+\.py)`", PAGE)):
        assert list((root / "tests").rglob(name)), name
    for name in set(re.findall(r"`(?:bench/)?(?!test_)(\w+\.py)`", PAGE)):
        assert (root / "bench" / name).exists(), name


def test_every_action_has_a_rule() -> None:
    """Something would be done of which the page says nothing."""
    assert {one.action for one in (*RULES, *INQUEST_RULES)} == set(Action)


def test_numbers_are_those_of_the_code() -> None:
    """The page would promise other bounds than those that hold."""
    for sentence in (
        f"more than {DEATHS_OF_A_FILE} deaths",
        f"no room ({LIMITS.quarantined_instances} instances)",
        f"in up to {PARTS} parts",
        f"two for up to {PARTS**2:,}",
        f"longer than {LIMITS.inquest_seconds:.0f} s",
    ):
        assert sentence in PAGE.replace("\n", " "), sentence
