"""A Sigma rule's file: read strictly, with line and column, and handed to pySigma.

    1. the YAML is read by `content.yaml_reader`: one document, no key twice, no aliases, limits
    2. what is not one plain rule (a correlation, a filter, another taxonomy) is refused
    3. scalars become values; one that YAML's versions read differently is refused, nothing guessed
    4. pySigma makes a rule of it; what it refuses is refused

Expressions are not judged here but where they are converted, which knows the position.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigma.exceptions import (
    SigmaDateError,
    SigmaError,
    SigmaIdentifierError,
    SigmaLevelError,
    SigmaLogsourceError,
    SigmaStatusError,
    SigmaTagError,
    SigmaTitleError,
)
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RE2RegexEngine, RegexPattern
from sigma.rule import SigmaRule

from content.escape import safe
from content.problems import SHOWN_CHARACTERS
from content.sigma.refusal import RuleRefusedError, Searched, SigmaReason
from content.yaml_form import Mark, describe, is_ambiguous
from content.yaml_reader import MappingNode, Node, Scalar, SequenceNode, read_file

CONDITION_CHARACTERS = 2000
"""Longest condition that is handed to pySigma's parser."""

_TEXT_KEYS = "title id name taxonomy status description license author date modified level".split()
_LIST_KEYS = ("references", "tags", "falsepositives")
_OTHER_KINDS = ("correlation", "filter", "action", "global")
_TAXONOMY = "sigma"
_PLACES = {
    SigmaDateError: "date",
    SigmaIdentifierError: "id",
    SigmaLevelError: "level",
    SigmaLogsourceError: "logsource",
    SigmaStatusError: "status",
    SigmaTagError: "tags",
    SigmaTitleError: "title",
}
"""Which key pySigma's errors are about; all others are about the detection."""
_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class RuleSource:
    """One rule as pySigma reads it, and the tree that knows where everything stands."""

    path: Path
    rule: SigmaRule
    tree: MappingNode

    def mark(self, error: RuleRefusedError) -> Mark:
        """Where it stands what a refusal is about, as close as can be known."""
        if isinstance(error.at, Mark):
            return error.at
        if isinstance(error.at, Searched):
            return _searched_mark(self.tree, error.at)
        for key, _ in self.tree.entries:
            if key.text == error.place:
                return _mark(key)
        return _mark(self.tree)


class _Engine(RE2RegexEngine):
    """What pySigma compiles with: RE2, which is linear, for the selectors of conditions.

    Expressions that RE2 doesn't know pass: `content.sigma.expressions` judges all of them, with
    the position.
    """

    def compile(self, pattern: str, flags: int = 0) -> RegexPattern:
        try:
            return super().compile(pattern, flags)
        except self.error:
            return super().compile(re.escape(pattern))


def read_rule(path: Path) -> RuleSource:
    """The rule in a file; ContentError, RuleRefusedError; OSError passes through."""
    # 1. Read.
    tree = read_file(path)
    if not isinstance(tree, MappingNode):
        raise _invalid("rule", tree, "a mapping with title, logsource and detection")
    entries = {key.text: node for key, node in tree.entries}
    # 2. One plain rule.
    _require_plain_rule(entries)
    # 3. Values.
    rule = _values(entries)
    # 4. pySigma.
    try:
        parsed = SigmaRule.from_dict(rule, policy=SigmaPolicy(regex_engine=_Engine()))
    except SigmaError as error:
        place = _PLACES.get(type(error), "detection")
        expected = "a rule that pySigma accepts"
        mark = next(_mark(key) for key, _ in tree.entries if key.text == place)
        raise RuleRefusedError(
            SigmaReason.RULE_INVALID, place, str(error), expected, mark
        ) from error
    return RuleSource(path, parsed, tree)


def _require_plain_rule(entries: dict[str, Node]) -> None:
    for kind in _OTHER_KINDS:
        if kind in entries:
            expected = "a rule with logsource and detection"
            raise _refused(SigmaReason.KIND_NOT_SUPPORTED, kind, entries[kind], kind, expected)
    for key in ("title", "logsource", "detection"):
        if key not in entries:
            raise RuleRefusedError(SigmaReason.RULE_INVALID, "rule", f"no {key}", f"the key {key}")
    taxonomy = entries.get("taxonomy")
    if isinstance(taxonomy, Scalar) and taxonomy.text != _TAXONOMY:
        reason = SigmaReason.KIND_NOT_SUPPORTED
        raise _refused(reason, "taxonomy", taxonomy, taxonomy.text, f"taxonomy {_TAXONOMY}")


def _values(entries: dict[str, Node]) -> dict[str, Any]:
    """What pySigma is given: the keys that are converted, and no others."""
    rule: dict[str, Any] = {}
    for key, node in entries.items():
        if key in _TEXT_KEYS:
            rule[key] = _text(node, key)
        elif key in _LIST_KEYS and not _is_nothing(node):
            if not isinstance(node, SequenceNode):
                raise _invalid(key, node, "a list")
            rule[key] = [_text(item, key) for item in node.items]
            _require_namespaces(key, node)
    logsource = entries["logsource"]
    if not isinstance(logsource, MappingNode):
        raise _invalid("logsource", logsource, "a mapping")
    rule["logsource"] = {key.text: _text(node, "logsource") for key, node in logsource.entries}
    rule["detection"] = _detection(entries["detection"])
    return rule


def _require_namespaces(key: str, node: SequenceNode) -> None:
    """PySigma says of a tag without namespace no more than that a value is wrong."""
    for item in node.items:
        if key == "tags" and isinstance(item, Scalar) and "." not in item.text:
            raise _invalid(key, item, "a tag with its namespace, such as attack.t1059")


def _detection(node: Node) -> dict[str, Any]:
    if not isinstance(node, MappingNode):
        raise _invalid("detection", node, "a mapping")
    found: dict[str, Any] = {}
    for key, item in node.entries:
        if key.text == "condition":
            found[key.text] = _conditions(item)
        elif key.text == "timeframe":
            reason, expected = SigmaReason.KIND_NOT_SUPPORTED, "a rule about single events"
            raise _refused(reason, "detection", key, "timeframe", expected)
        else:
            found[key.text] = _search(item, f"detection.{key.text}", as_text=False)
    return found


def _conditions(node: Node) -> list[str]:
    items = node.items if isinstance(node, SequenceNode) else (node,)
    conditions = [_text(item, "condition") or "" for item in items]
    for item, condition in zip(items, conditions, strict=True):
        if len(condition) > CONDITION_CHARACTERS:
            expected = f"at most {CONDITION_CHARACTERS} characters"
            found = f"{len(condition)} characters"
            raise _refused(SigmaReason.TOO_COMPLEX, "condition", item, found, expected)
    return conditions


def _search(node: Node, place: str, *, as_text: bool) -> Any:
    """A search identifier, or what is in it; as_text below the modifier `re`."""
    if isinstance(node, Scalar):
        return _text(node, place) if as_text else _value(node, place)
    items = node.items if isinstance(node, SequenceNode) else node.entries
    if not items:
        raise _invalid(place, node, "at least one value")
    if isinstance(node, SequenceNode):
        return [_search(item, place, as_text=as_text) for item in node.items]
    return {
        key.text: _search(item, f"{place}.{key.text}", as_text=_takes_expression(key))
        for key, item in node.entries
    }


def _takes_expression(key: Scalar) -> bool:
    return "re" in key.text.split("|")[1:]


def _value(node: Scalar, place: str) -> str | int | bool | None:
    if not node.plain:
        return node.text
    lowered = node.text.lower()
    if lowered in _CONSTANTS and node.text in (lowered, lowered.upper(), lowered.title()):
        return _CONSTANTS[lowered]
    if _DECIMAL.fullmatch(node.text):
        return int(node.text)
    if is_ambiguous(node.text):
        reason, expected = (
            SigmaReason.VALUE_AMBIGUOUS,
            f'text, in quotes: "{safe(node.text, SHOWN_CHARACTERS)}"',
        )
        raise _refused(reason, place, node, f"{node.text} without quotes", expected)
    return node.text


def _text(node: Node, place: str) -> str | None:
    """Text as it is written; None where there is nothing."""
    if not isinstance(node, Scalar):
        raise _invalid(place, node, "text")
    if _is_nothing(node):
        if place.startswith("detection"):
            raise _invalid(place, node, "text")
        return None
    return node.text


def _is_nothing(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and _CONSTANTS.get(node.text.lower(), 1) is None


def _invalid(place: str, node: Node, expected: str) -> RuleRefusedError:
    empty = not isinstance(node, Scalar) and not tuple(_children(node))
    found = "nothing" if empty else describe(node)
    return _refused(SigmaReason.RULE_INVALID, place, node, found, expected)


def _refused(
    reason: SigmaReason, place: str, node: Node, found: str, expected: str
) -> RuleRefusedError:
    return RuleRefusedError(reason, place, found, expected, _mark(node))


def _searched_mark(tree: MappingNode, searched: Searched) -> Mark:
    """Where the field is searched for the text; where it is searched, if that isn't written so."""
    keys = [
        (key, node)
        for detection, below in tree.entries
        if detection.text == "detection"
        for key, node in _entries(below)
        if key.text.partition("|")[0] == searched.field
    ]
    for _, node in keys:
        for scalar in _scalars(node):
            if searched.text and searched.text in scalar.text:
                return _mark(scalar)
    return _mark(keys[0][0]) if keys else _mark(tree)


def _entries(node: Node) -> Iterator[tuple[Scalar, Node]]:
    if isinstance(node, MappingNode):
        yield from node.entries
    for child in _children(node):
        yield from _entries(child)


def _scalars(node: Node) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    for child in _children(node):
        yield from _scalars(child)


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        yield from (value for _, value in node.entries)
    elif isinstance(node, SequenceNode):
        yield from node.items


def _mark(node: Node) -> Mark:
    return Mark(node.line, node.column)
