"""The public rules: how many are converted, and that each means what it meant."""

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest
from sigma.rule import SigmaRule

from content.authoring import assemble, read_instance, read_instance_text
from content.channel_file import load, pack
from content.checking import check
from content.definitions import load_definitions
from content.interpreter import Interpreter
from content.limits import LIMITS
from content.record import Records, decode
from content.sigma.converter import Converted
from content.sigma.importing import Outcome, import_rules, write
from content.template_type import Rung, TemplateType
from tests.needs import require_corpus
from tests.unit.sigma.sigma_evaluator import NAME_RESOLUTION, Judge, log_event
from tests.unit.sigma.sigma_events import Inputs, Maker, by_name
from tests.unit.sigma.sigma_rules import template_type_of

CORPUS = "sigma-linux"
TYPES = load_definitions()
MUTATED_EVENTS = {
    "process_creation": 20_000,
    "file_event": 2_000,
    "network_connection": 2_000,
    NAME_RESOLUTION: 2_000,
}
BATCH_EVENTS = 1000


@cache
def imported(folder: Path) -> Outcome:
    """The corpus, converted once."""
    return import_rules([folder], TYPES, Rung.BPF_BTF)


def test_all_rules_are_converted() -> None:
    """Detections that the public has would be missing, without anybody knowing why."""
    folder = require_corpus(CORPUS)
    outcome = imported(folder)
    assert len(outcome.converted) + len(outcome.refused) == len(list(folder.rglob("*.yml")))
    assert not outcome.refused


def test_converted_rules_stay_small() -> None:
    """A rule could become more clauses than a sensor wants to look at."""
    clauses = [len(one.instance.clauses) for one in imported(require_corpus(CORPUS)).converted]
    assert max(clauses) < 25
    assert max(clauses) <= LIMITS.clauses_per_instance


def test_what_is_written_passes_the_authors_check_and_packs(tmp_path: Path) -> None:
    """An import would leave files that the author's tool, the cloud or the sensor refuses."""
    outcome = imported(require_corpus(CORPUS))
    written = write(outcome, tmp_path)
    checked = check([tmp_path], TYPES, Rung.BPF_BTF)
    assert checked.problems == ()
    assert checked.instances == len(outcome.converted) == len(written)
    authored = assemble([read_instance(path, TYPES) for path in written], version=1)
    for one in authored:
        assert load(pack(one.channel_file)) == one.channel_file
    expected = {one.instance.id: one.instance for one in outcome.converted}
    found = {one.id: one for file in authored for one in file.channel_file.instances}
    assert found == expected


def test_nothing_that_names_a_rule_is_lost() -> None:
    """The licence would be broken, or an analyst not know what a detection means."""
    for one in imported(require_corpus(CORPUS)).converted:
        rule = SigmaRule.from_yaml(one.source.read_text(encoding="utf-8"))
        instance = one.instance
        assert instance.title == rule.title
        assert instance.source == f"sigma:{rule.id}"
        assert instance.author == rule.author
        assert instance.license == "DRL-1.1"
        assert instance.references == tuple(rule.references)
        assert instance.severity.name == str(rule.level).upper()
        assert instance.false_positives == tuple(rule.falsepositives)
        techniques = {tag.name.upper() for tag in rule.tags if tag.name.startswith("t1")}
        assert set(instance.attack_techniques) == techniques


@pytest.mark.timeout(300)
@pytest.mark.parametrize("category", sorted(MUTATED_EVENTS))
def test_converted_rules_agree_with_an_independent_evaluator(category: str) -> None:
    """A rule would detect something else than its author wrote."""
    converted = [
        one
        for one in imported(require_corpus(CORPUS)).converted
        if one.template_type.name == template_type_of(category)
    ]
    template_type = converted[0].template_type
    rules = {
        one.instance.id: SigmaRule.from_yaml(one.source.read_text(encoding="utf-8"))
        for one in converted
    }
    judges = {identity: Judge(rule) for identity, rule in rules.items()}
    maker = Maker(
        template_type,
        [judges[one.instance.id].trees for one in converted],
        [_matching_sample(one) for one in converted],
        random.Random(f"bulkhead {category}"),  # noqa: S311  nothing is secret
    )
    events = [*maker.systematic(), *maker.mutated(MUTATED_EVENTS[category])]
    interpreter = _interpreter(converted)
    matched: Counter[str] = Counter()
    for first in range(0, len(events), BATCH_EVENTS):
        records = maker.records(events[first : first + BATCH_EVENTS])
        found = _found(interpreter, template_type, records)
        expected = _expected(judges, category, template_type, records)
        assert found == expected, _difference(found ^ expected, records, template_type)
        matched.update(identity for _, identity in found)
    assert set(matched) == set(judges)
    print(f"{category}: {len(events)} events, {matched.total()} matches")  # noqa: T201


def _matching_sample(one: Converted) -> Inputs:
    return next(sample.record_inputs() for sample in one.instance.samples if sample.must_match)


def _interpreter(converted: Sequence[Converted]) -> Interpreter:
    texts = [read_instance_text(one.text.encode(), str(one.source), TYPES) for one in converted]
    (authored,) = assemble(texts, version=1)
    return Interpreter([authored.channel_file], TYPES)


def _found(
    interpreter: Interpreter, template_type: TemplateType, records: Records
) -> set[tuple[int, str]]:
    evaluation = interpreter.evaluate(template_type, records)
    assert not evaluation.faults
    return {(match.row, match.instance.id) for match in evaluation.matches}


def _expected(
    judges: Mapping[str, Judge], category: str, template_type: TemplateType, records: Records
) -> set[tuple[int, str]]:
    expected = set()
    for row in range(len(records)):
        inputs = by_name(decode(template_type, records[row : row + 1]), template_type)
        event = log_event(category, inputs)
        if event is not None:
            expected |= {(row, name) for name, judge in judges.items() if judge.matches(event)}
    return expected


def _difference(
    differing: Collection[tuple[int, str]], records: Records, template_type: TemplateType
) -> str:
    row, identity = min(differing)
    inputs = by_name(decode(template_type, records[row : row + 1]), template_type)
    return f"{len(differing)} differ, the first is {identity} on {inputs}"
