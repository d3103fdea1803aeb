"""What the integration code really supplies, read from its source.

The BPF programs fill a record only through NUMBER, TEXT, ARGUMENTS and ADDRESS, each of which
names Template Type and field; collectors in Python name theirs in a set. Both are compared with the
Definitions: a field that is defined for the rung but never filled, or filled but not defined for
it, stops the start. So a Definition of 21 fields can't be paired with code that supplies 20.
"""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from content.definitions import Rung, TemplateType
from probes.errors import ProbeError, ProbeReason

FILL = re.compile(r"\b(?:NUMBER|TEXT|ARGUMENTS|ADDRESS)\(\s*(\w+)\s*,\s*[^,]+,\s*(\w+)\s*[,)]")
MACRO = re.compile(r"^#define (\w+)\((\w+)[^)]*\)((?:.*\\\n)*.*\n)", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
CALL = re.compile(r"\b(\w+)\(\s*(\w+)\s*,")
FILLING_WORDS = frozenset({"NUMBER", "TAKE", "TEXT", "ARGUMENTS", "ADDRESS", "BEGIN"})


def supplied_names(sources: Iterable[str]) -> dict[str, set[str]]:
    """Template Type name → names of the fields that the sources fill in."""
    text = COMMENT.sub("", "\n".join(sources))
    macros = {
        name: {field for kind, field in FILL.findall(body) if kind == parameter}
        for name, parameter, body in MACRO.findall(text)
        if name not in FILLING_WORDS
    }
    supplied: dict[str, set[str]] = {}
    for kind, field in FILL.findall(text):
        supplied.setdefault(kind, set()).add(field)
    for macro, kind in CALL.findall(text):
        if macro in macros:
            supplied.setdefault(kind, set()).update(macros[macro])
    return supplied


def check_supply(
    template_types: Iterable[TemplateType], sources: Iterable[str], rung: Rung
) -> None:
    """Compare sources and Definitions; ProbeError (SUPPLY_MISMATCH) names type and fields."""
    supplied = supplied_names(sources)
    for template_type in template_types:
        check_supplied(template_type, supplied.get(template_type.name, set()), rung)


def check_supplied(template_type: TemplateType, filled: AbstractSet[str], rung: Rung) -> None:
    """Compare the fields that code fills in with the Definition; ProbeError (SUPPLY_MISMATCH)."""
    numbers = template_type.supplied_fields(rung)
    defined = {field.name for field in template_type.fields if field.number in numbers}
    problems = [f"field {name} is defined but never filled in" for name in sorted(defined - filled)]
    problems += [f"field {name} is filled in but not defined" for name in sorted(filled - defined)]
    if problems:
        raise ProbeError(
            ProbeReason.SUPPLY_MISMATCH,
            f"Template Type {template_type.name}, rung {rung}: the Definition has"
            f" {len(defined)} fields, the code supplies {len(filled)}: {'; '.join(problems)}",
        )
