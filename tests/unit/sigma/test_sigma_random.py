"""Random rules mean the same before and after conversion, on random events."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sigma.rule import SigmaRule

from content.authoring import AuthoredInstance, assemble
from content.definitions import load_definitions
from content.interpreter import Interpreter
from content.record import decode, encode
from content.sigma.converter import Converted, Converter
from content.sigma.logsources import CATEGORIES
from content.sigma.refusal import RuleRefusedError, SigmaReason
from content.sigma.source import read_rule
from content.template_type import Rung
from tests.unit.sigma.sigma_evaluator import NAME_RESOLUTION, Judge, log_event
from tests.unit.sigma.sigma_events import Inputs, by_name
from tests.unit.sigma.sigma_rules import event_inputs, rules, template_type_of

TYPES = load_definitions()
CONVERTER = Converter(TYPES, Rung.BPF_BTF)
BY_NAME = {one.name: one for one in TYPES.values()}
EXAMPLES = 150
ALLOWED = frozenset(
    {
        SigmaReason.NEVER_MATCHES,
        SigmaReason.NO_SAMPLE_FOUND,
        SigmaReason.TOO_COMPLEX,
    }
)
"""Why a random rule may be refused: what contradicts itself, says nothing or goes on too long."""


def converted(rule: dict[str, Any], folder: Path) -> Converted | str:
    """The rule through a file, as an author has it (JSON is YAML), or why it was refused."""
    path = folder / "rule.yml"
    path.write_text(json.dumps(rule), encoding="utf-8")
    try:
        return CONVERTER.convert(read_rule(path))
    except RuleRefusedError as error:
        return str(error.reason)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for one rule after the other."""
    return tmp_path_factory.mktemp("rules")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("category", [*sorted(CATEGORIES), NAME_RESOLUTION])
def test_random_rules_agree_with_an_independent_evaluator(category: str, folder: Path) -> None:
    """Some combination of conditions, modifiers and wildcards would change its meaning."""
    outcomes: Counter[str] = Counter()

    # A rule that differs is small enough as it is; making it smaller takes minutes.
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(rules(category), st.lists(event_inputs(category), min_size=20, max_size=20))
    def agree(rule: dict[str, Any], events: list[Inputs]) -> None:
        expected = _expected(rule, category, events)
        result = converted(rule, folder)
        if isinstance(result, Converted) and not is_of(result, category):
            outcomes.update(["of another category"])
        elif isinstance(result, Converted):
            found = _found(result, events)
            assert found == expected
            outcomes.update(["converted"], matches=len(found))
        else:
            outcomes.update([result])
            assert result in ALLOWED
            assert not (expected and result == SigmaReason.NEVER_MATCHES)

    agree()
    # Random rules often contradict themselves; a third that convert is plenty to compare.
    assert outcomes["converted"] >= EXAMPLES // 3, outcomes
    assert outcomes["matches"] >= EXAMPLES // 6, outcomes


def is_of(one: Converted, category: str) -> bool:
    """False for a rule that could ask for a name, and happens not to."""
    return one.template_type.name == template_type_of(category)


def _expected(rule: dict[str, Any], category: str, events: list[Inputs]) -> set[int]:
    judge = Judge(SigmaRule.from_dict(rule))
    template_type = BY_NAME[template_type_of(category)]
    found = set()
    for row, inputs in enumerate(events):
        seen = decode(template_type, encode(template_type, inputs, rung=Rung.BPF_BTF))
        event = log_event(category, by_name(seen, template_type))
        if event is not None and judge.matches(event):
            found.add(row)
    return found


def _found(one: Converted, events: list[Inputs]) -> set[int]:
    authored = AuthoredInstance("", one.template_type, one.instance, {})
    (assembled,) = assemble([authored], version=1)
    records = np.concatenate(
        [encode(one.template_type, inputs, rung=Rung.BPF_BTF) for inputs in events]
    )
    interpreter = Interpreter([assembled.channel_file], TYPES)
    evaluation = interpreter.evaluate(one.template_type, records)
    assert not evaluation.faults
    return {match.row for match in evaluation.matches}
