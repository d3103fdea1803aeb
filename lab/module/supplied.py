"""What the module's integration code supplies, as a C header: derived from the Definitions."""

from collections.abc import Mapping

from content.template_type import TemplateType

TYPES = ("process", "ipc")
"""Template Types whose events the module sees."""


def header(types: Mapping[int, TemplateType]) -> str:
    """The arity and the field numbers of these Template Types, as constants."""
    lines = ["/* Written from content/definitions; see lab/module/supplied.py. */"]
    for kind in types.values():
        if kind.name in TYPES:
            lines.append(f"#define {kind.name.upper()}_ARITY {kind.arity}")
            lines += [
                f"#define {kind.name.upper()}_{field.name.upper()} {field.number}"
                for field in kind.fields
            ]
    return "\n".join([*lines, ""])
