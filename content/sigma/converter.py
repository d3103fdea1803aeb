"""One Sigma rule into one Template Instance.

    1. the log source, and the fields that are asked for, name a Template Type and the views of its
       events
    2. the condition becomes a formula for each view, and all of them clauses
    3. title, level, tags, notes and whose work it is are taken over
    4. the criteria are validated; samples are made from them
    5. the text of the author's file is written, read back, and checked like any author's

A rule is converted as a whole or refused with the first reason.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sigma.rule import SigmaRule
from sigma.rule.attributes import SigmaLevel

from content import samples
from content.authoring import AuthoredChannelFile, AuthoredInstance, assemble, read_instance_text
from content.authoring_writer import instance_text
from content.limits import LIMITS
from content.model import (
    Clause,
    Disposition,
    Sample,
    Severity,
    TemplateInstance,
    read_only,
)
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.sigma import condition
from content.sigma.formula import Formula, all_of, any_of, clauses
from content.sigma.logsources import CATEGORIES, PRODUCT, Category
from content.sigma.refusal import RuleRefusedError, SigmaReason
from content.sigma.source import RuleSource
from content.sigma.witness import Witnesses
from content.supply import Supply
from content.template_type import Rung, TemplateType
from content.validator import validate

SIGMA_LICENSE = "DRL-1.1"
"""SPDX identifier of the Detection Rule License 1.1, under which the public rules are."""

VERSION = 1
"""Of the Channel File that a single instance is checked in."""

_SEVERITIES = {
    SigmaLevel.INFORMATIONAL: Severity.INFORMATIONAL,
    SigmaLevel.LOW: Severity.LOW,
    SigmaLevel.MEDIUM: Severity.MEDIUM,
    SigmaLevel.HIGH: Severity.HIGH,
    SigmaLevel.CRITICAL: Severity.CRITICAL,
}
_TECHNIQUE = re.compile(r"t[0-9]{4}(\.[0-9]{3})?", re.IGNORECASE)
_ID_CHARACTERS = 8
"""How much of a rule's id an instance's id bears, so that equal titles don't collide."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a rule doesn't say and its importer decides.

    license: of rules that name none.
    """

    disposition: Disposition = Disposition.DETECT
    license: str = SIGMA_LICENSE


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted rule: where it was, the instance, and its file's text."""

    source: Path
    template_type: TemplateType
    instance: TemplateInstance
    text: str


class Converter:
    """Converts rules for what a sensor of this release supplies on a rung."""

    def __init__(
        self, types: Mapping[int, TemplateType], rung: Rung, choices: Choices | None = None
    ) -> None:
        self._types = types
        self._by_name = {template_type.name: template_type for template_type in types.values()}
        self._supply = Supply.of(types, rung)
        self._choices = choices or Choices()

    def convert(self, source: RuleSource) -> Converted:
        """The instance of a rule; RuleRefusedError, ContentError."""
        rule = source.rule
        # 1. Log source.
        named = _category(rule)
        trees = condition.trees(rule)
        asked = condition.asked_fields(trees)
        category = named.of(asked)
        template_type = self._by_name[category.template_type]
        # 2. Condition.
        condition.require_supplied(asked, category, template_type)
        found = _clauses(trees, category, template_type)
        # 3. What people read.
        instance = self._described(rule, found)
        # 4. Valid criteria, and samples.
        self._validate(instance, template_type, (Reason.SAMPLE_MISSING,))
        instance = replace(instance, samples=make_samples(found, template_type))
        # 5. The file.
        text = instance_text(instance, template_type, _comments(source))
        self._check_text(text, instance, template_type)
        return Converted(source.path, template_type, instance, text)

    def _described(self, rule: SigmaRule, found: tuple[Clause, ...]) -> TemplateInstance:
        if rule.level is None:
            raise RuleRefusedError(
                SigmaReason.LEVEL_MISSING, "rule", "no level", "a level, from which severity comes"
            )
        techniques = (tag.name for tag in rule.tags if tag.namespace == "attack")
        notes = (note.strip() for note in rule.falsepositives if note)
        return TemplateInstance(
            id=instance_id(rule),
            disposition=self._choices.disposition,
            severity=_SEVERITIES[rule.level],
            title=_line(rule.title),
            description=_prose(rule.description or rule.title),
            attack_techniques=tuple(
                dict.fromkeys(one.upper() for one in techniques if _TECHNIQUE.fullmatch(one))
            ),
            false_positives=tuple(note for note in notes if note),
            clauses=found,
            samples=(),
            author=_line(rule.author or ""),
            license=rule.license or self._choices.license,
            source=f"sigma:{rule.id}" if rule.id else "sigma",
            references=tuple(one.strip() for one in rule.references if one and one.strip()),
        )

    def _validate(
        self,
        instance: TemplateInstance,
        template_type: TemplateType,
        ignored: tuple[Reason, ...] = (),
    ) -> AuthoredChannelFile:
        authored = AuthoredInstance("", template_type, instance, {})
        (assembled,) = assemble([authored], VERSION)
        found = validate(assembled.channel_file, self._supply, self._types)
        if problems := [one for one in found if one.reason not in ignored]:
            raise ContentError([_in_instance(one) for one in problems])
        return assembled

    def _check_text(
        self, text: str, instance: TemplateInstance, template_type: TemplateType
    ) -> None:
        read = read_instance_text(text.encode(), "", self._types)
        if read.instance != instance:
            raise AssertionError(f"{instance.id} is not what was written: {text}")
        assembled = self._validate(read.instance, template_type)
        if problems := samples.check(assembled.channel_file, self._types):
            raise ContentError([_in_instance(one) for one in problems])


def _category(rule: SigmaRule) -> Category:
    source = rule.logsource
    category = CATEGORIES.get(source.category or "")
    if source.product != PRODUCT or category is None or source.service is not None:
        named = (("product", source.product), ("category", source.category))
        found = ", ".join(f"{key} {value}" for key, value in (*named, ("service", source.service)))
        expected = f"product {PRODUCT}, one of the categories {', '.join(CATEGORIES)}, no service"
        raise RuleRefusedError(SigmaReason.LOGSOURCE_NOT_SUPPORTED, "logsource", found, expected)
    return category


def _clauses(
    trees: Sequence[object], category: Category, template_type: TemplateType
) -> tuple[Clause, ...]:
    """The clauses of a rule: its conditions in any view of the events."""
    found: list[Formula] = []
    for view in category.views:
        reader = condition.Reader(view, template_type)
        asked = any_of([reader.formula(tree) for tree in trees])
        found.append(all_of([*view.criteria(template_type), asked]))
    combined = clauses(any_of(found))
    if not combined:
        expected = "a condition that some event fulfils"
        raise RuleRefusedError(
            SigmaReason.NEVER_MATCHES, "detection", "a condition that contradicts itself", expected
        )
    return combined


def make_samples(found: tuple[Clause, ...], template_type: TemplateType) -> tuple[Sample, ...]:
    """One event that the first possible clause matches, and one that no clause does."""
    witnesses = Witnesses(template_type)
    for clause in found:
        matched = witnesses.matching(clause)
        other = witnesses.not_matching(found, matched) if matched else None
        if matched and other:
            return (
                Sample("made from the rule: a match", must_match=True, inputs=read_only(matched)),
                Sample("made from the rule: no match", must_match=False, inputs=read_only(other)),
            )
    expected = "an event that matches, and one that does not"
    raise RuleRefusedError(
        SigmaReason.NO_SAMPLE_FOUND, "detection", "no such pair of events", expected
    )


def instance_id(rule: SigmaRule) -> str:
    """The title in a-z, 0-9 and dashes, and the beginning of the rule's id where it has one."""
    plain = unicodedata.normalize("NFKD", rule.title).encode("ascii", "ignore").decode().lower()
    words: list[str] = re.findall("[a-z0-9]+", plain) or ["sigma"]
    ending = f"-{str(rule.id)[:_ID_CHARACTERS]}" if rule.id else ""
    slug = words[0][: LIMITS.id_characters - len(ending)]
    for word in words[1:]:
        if len(slug) + 1 + len(word) + len(ending) > LIMITS.id_characters:
            break
        slug += f"-{word}"
    return slug + ending


def _comments(source: RuleSource) -> list[str]:
    """What has no place in an instance."""
    rule = source.rule
    tags = " ".join(map(str, rule.tags))
    facts = (
        ("status", rule.status),
        ("date", rule.date),
        ("modified", rule.modified),
        ("tags", tags),
    )
    return [
        f"Converted from the Sigma rule in {source.path.name}, and thereby changed:",
        "its condition was brought into clauses, and samples were made from it.",
        *(f"{key}: {value}" for key, value in facts if value),
    ]


def _line(text: str) -> str:
    return " ".join(text.splitlines()).strip()


def _prose(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _in_instance(problem: Problem) -> Problem:
    """Without the number of the instance, of which there is one, and without a line of ours."""
    return replace(problem, place=problem.place.removeprefix("instances[0]."), line=0, column=0)
