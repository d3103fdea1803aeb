"""A rule's condition as a formula over one Template Type, for one view of its events.

Walks the tree that pySigma makes of a condition and its detections. The conditions of a list are
alternatives. A field that other events of the category have, but not those of this view, is Unseen.
"""

from collections.abc import Iterable, Iterator

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionItem,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from content.sigma import values
from content.sigma.formula import Formula, Unseen, all_of, any_of, negate
from content.sigma.logsources import Account, Always, Category, Supplied, View
from content.sigma.refusal import RuleRefusedError, Searched, SigmaReason
from content.template_type import TemplateType


def trees(rule: SigmaRule) -> list[object]:
    """The condition trees with detections put in; RuleRefusedError for what it refuses."""
    try:
        found: list[object] = [one.parse() for one in rule.detection.parsed_condition]
    except SigmaError as error:
        raise RuleRefusedError(
            SigmaReason.RULE_INVALID, "condition", str(error), "a condition that pySigma accepts"
        ) from error
    except RecursionError as error:
        raise RuleRefusedError(
            SigmaReason.TOO_COMPLEX, "condition", "deep nesting", "a flatter condition"
        ) from error
    return found


def asked_fields(found: Iterable[object]) -> list[str]:
    """The Sigma fields that trees ask for, in their order."""
    return list(dict.fromkeys(field for tree in found for field in _fields(tree)))


def require_supplied(asked: Iterable[str], category: Category, template_type: TemplateType) -> None:
    """RuleRefusedError that names all fields which no event of the category has."""
    missing = [field for field in asked if field not in category.fields]
    if missing:
        raise RuleRefusedError(
            SigmaReason.FIELD_NOT_SUPPLIED,
            "detection",
            ", ".join(missing),
            f"fields that {template_type.name} events have: {', '.join(sorted(category.fields))}",
            Searched(missing[0]),
        )


def _fields(node: object) -> Iterator[str]:
    if isinstance(node, ConditionFieldEqualsValueExpression):
        yield node.field
    elif isinstance(node, ConditionItem):
        for one in node.args:
            yield from _fields(one)


class Reader:
    """Turns pySigma's trees into formulas for one view."""

    def __init__(self, view: View, template_type: TemplateType) -> None:
        self._view = view
        self._fields = {field.name: field for field in template_type.fields}

    def formula(self, node: object) -> Formula:
        """The formula of a tree; RuleRefusedError where any part of it can't be converted."""
        if isinstance(node, ConditionAND):
            return all_of([self.formula(one) for one in node.args])
        if isinstance(node, ConditionOR):
            return any_of([self.formula(one) for one in node.args])
        if isinstance(node, ConditionNOT):
            return negate(self.formula(node.args[0]))
        if isinstance(node, ConditionFieldEqualsValueExpression):
            return self._comparison(node)
        if isinstance(node, ConditionValueExpression):
            raise RuleRefusedError(
                SigmaReason.KEYWORDS_NOT_SUPPORTED,
                "detection",
                f"the keyword {node.value}",
                "values of fields: there is no line of text to search",
            )
        raise RuleRefusedError(
            SigmaReason.RULE_INVALID, "condition", type(node).__name__, "and, or, not and fields"
        )

    def _comparison(self, node: ConditionFieldEqualsValueExpression) -> Formula:
        origin = self._view.origins.get(node.field)
        if isinstance(origin, Supplied):
            return values.convert(node.value, self._fields[origin.field], node.field)
        if isinstance(origin, Account):
            return values.account(node.value, self._fields[origin.field], node.field)
        if isinstance(origin, Always):
            return values.always(node.value, origin.value, node.field)
        return Unseen(node.field)
