"""Rules written for tests, and what becomes of them."""

from pathlib import Path
from textwrap import indent

from content.definitions import load_definitions
from content.model import Clause, Criterion, TemplateInstance
from content.sigma.importing import Outcome, import_rules
from content.sigma.refusal import Refusal
from content.template_type import Rung

TYPES = load_definitions()
BY_NAME = {one.name: one for one in TYPES.values()}

HEAD = """\
title: Somebody looks around
id: 3f2c1a00-1111-4222-8333-444455556666
level: medium
logsource:
    product: linux
    category: {category}
detection:
"""


def rule(detection: str, category: str = "process_creation") -> str:
    """A rule with this detection section, which begins on line 8."""
    return HEAD.format(category=category) + indent(detection, "    ")


def selecting(item: str, category: str = "process_creation") -> str:
    """A rule that asks for one thing: on line 9, from column 9."""
    return rule(f"selection:\n{indent(item, '    ')}\ncondition: selection\n", category)


def imported(folder: Path, *texts: str) -> Outcome:
    """What becomes of rules with these texts."""
    for number, text in enumerate(texts):
        (folder / f"{number}.yml").write_text(text, encoding="utf-8")
    return import_rules([folder], TYPES, Rung.BPF_BTF)


def instance_of(folder: Path, text: str) -> TemplateInstance:
    """The instance that a rule becomes."""
    outcome = imported(folder, text)
    assert not outcome.refused
    return outcome.converted[0].instance


def clauses_of(folder: Path, text: str) -> list[list[Criterion]]:
    """The criteria of each clause that a rule becomes."""
    return [list(clause.criteria) for clause in instance_of(folder, text).clauses]


def refusal_of(folder: Path, text: str) -> Refusal:
    """Why a rule was refused."""
    outcome = imported(folder, text)
    assert not outcome.converted
    (refusal,) = outcome.refused
    return refusal


def clause(*criteria: Criterion) -> Clause:
    """A clause."""
    return Clause(criteria)
