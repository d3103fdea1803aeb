"""The file that a new instance begins as: well formed, commented, and not acceptable yet.

It says which fields there are and what is to be written where. Its samples are empty on purpose:
`bulkhead content check` refuses it until its author has written what must match and what must not.
"""

from content.limits import LIMITS
from content.model import OPERATORS
from content.template_type import Field, Kind, Rung, TemplateType
from content.validator import ID_PATTERN

_VALUES = {
    Kind.TEXT: "/replace-me",
    Kind.UNSIGNED: "0",
    Kind.SIGNED: "0",
    Kind.ADDRESS: "192.0.2.1",
}
"""A value of each kind; enums have names of their own."""


def id_problem(instance_id: str) -> str:
    """What an id must be like, where this one is not; else empty."""
    if len(instance_id) <= LIMITS.id_characters and ID_PATTERN.fullmatch(instance_id):
        return ""
    return f"a-z, 0-9 and single dashes, at most {LIMITS.id_characters} characters"


def skeleton(template_type: TemplateType, instance_id: str) -> str:
    """The YAML text of a new instance; id as `id_problem` accepts it."""
    title = instance_id.replace("-", " ").capitalize()
    texts = [one for one in template_type.fields if one.kind is Kind.TEXT]
    field = (texts or template_type.fields)[0]
    value = _VALUES.get(field.kind) or next(iter(field.values))
    operator = "ends_with" if field.kind is Kind.TEXT else "equals"
    name = template_type.name
    lines = [
        f"# {template_type.title} docs/template-types/{name}.md has every field.",
        "# docs/content-language.md says what all keys and operators mean.",
        f"id: {instance_id}",
        f"template_type: {name}",
        f'schema: "{template_type.version}"',
        "# One line that whoever is called at night understands.",
        f'title: "{title}"',
        "description: >-",
        "  Replace this: what it finds, and why that matters.",
        "# observe (recorded), detect (reported) or prevent (the process is stopped).",
        "disposition: observe",
        "# informational, low, medium, high or critical.",
        "severity: low",
        "# attack: [T1059.004]",
        "# false_positives:",
        "#   - What else could match.",
        "# Any clause (- -) matches where all of its criteria hold. Fields and their operators:",
        *(f"#   {_field_line(one)}" for one in template_type.fields),
        "clauses:",
        f"  - - {{field: {field.name}, operator: {operator}, values: [{value}]}}",
        "# At least one event that must match and one that must not, as close to it as you can;",
        "# then remove the []. Fields that are left out were not supplied for that event.",
        "samples: []",
        "#  - name: what must be found",
        "#    matches: true",
        f"#    inputs: {{{field.name}: {value}}}",
        "#  - name: what is ordinary",
        "#    matches: false",
        f"#    inputs: {{{field.name}: {value}}}",
    ]
    return "\n".join(lines) + "\n"


def _field_line(field: Field) -> str:
    operators = ", ".join(one.name.lower() for one in sorted(OPERATORS[field.kind]))
    missing = [rung for rung in Rung if rung not in field.rungs]
    note = f"; not on rung {', '.join(missing)}" if missing else ""
    values = f" of {', '.join(field.values)}" if field.values else ""
    return f"{field.name}: {field.kind}{values} ({operators}){note}"
