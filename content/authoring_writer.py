"""A Template Instance as an author's YAML file: what `content.authoring` reads back as the same.

Text stands without quotes where no version of YAML reads it as something else, in single quotes
where it can be seen, and escaped in double quotes otherwise. Bytes that are not UTF-8 or can't be
seen are written in hexadecimal.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator

from content.authoring_values import HEX_KEY
from content.model import (
    AddressPrefix,
    Clause,
    Criterion,
    Operator,
    Sample,
    TemplateInstance,
    Value,
)
from content.template_type import Field, Kind, TemplateType
from content.yaml_form import is_ambiguous

_PLAIN = re.compile(r"[A-Za-z/](?:[\w./@+()%=&~-]|:(?=[\w/])| (?=[\w/]))*", re.ASCII)
_WIDTH = 96
"""Characters of a line of prose."""

_ONE_BYTE, _TWO_BYTES = 0x100, 0x10000


def instance_text(
    instance: TemplateInstance, template_type: TemplateType, comments: Iterable[str] = ()
) -> str:
    """The file's text; comments, one line each, come first.

    Raises ValueError for an instance with a field or enum value that the Template Type lacks.
    """
    lines = [f"# {_one_line(comment)}" for comment in comments]
    lines += _head(instance, template_type)
    lines += _origin(instance)
    lines.append("clauses:" if instance.clauses else "clauses: []")
    for clause in instance.clauses:
        lines += _clause(clause, template_type)
    lines.append("samples:" if instance.samples else "samples: []")
    for sample in instance.samples:
        lines += _sample(sample, template_type)
    return "\n".join(lines) + "\n"


def _head(instance: TemplateInstance, template_type: TemplateType) -> Iterator[str]:
    yield f"id: {instance.id}"
    yield f"template_type: {template_type.name}"
    yield f'schema: "{template_type.version}"'
    yield f"title: {quoted(instance.title)}"
    yield f"description: {_prose(instance.description)}"
    yield f"disposition: {instance.disposition.name.lower()}"
    yield f"severity: {instance.severity.name.lower()}"
    if instance.attack_techniques:
        yield f"attack: [{', '.join(instance.attack_techniques)}]"
    yield from _texts("false_positives", instance.false_positives)


def _origin(instance: TemplateInstance) -> Iterator[str]:
    named = (
        ("author", instance.author),
        ("license", instance.license),
        ("source", instance.source),
    )
    for key, text in named:
        if text:
            yield f"{key}: {quoted(text)}"
    yield from _texts("references", instance.references)


def _texts(key: str, texts: tuple[str, ...]) -> Iterator[str]:
    if texts:
        yield f"{key}:"
    for text in texts:
        yield f"  - {quoted(text)}"


def _clause(clause: Clause, template_type: TemplateType) -> Iterator[str]:
    if not clause.criteria:
        yield "  - []"
    for index, criterion in enumerate(clause.criteria):
        field = _field(criterion.field, template_type)
        yield f"  {' ' if index else '-'} - field: {field.name}"
        for line in _criterion(criterion, field):
            yield f"      {line}"


def _criterion(criterion: Criterion, field: Field) -> Iterator[str]:
    yield f"operator: {criterion.operator.name.lower()}"
    if criterion.operator is not Operator.EXISTS:
        yield "values:" if criterion.values else "values: []"
    for value in criterion.values:
        yield f"  - {_value(value, field)}"
    if criterion.negated:
        yield "negated: true"
    if criterion.case_sensitive:
        yield "case_sensitive: true"


def _sample(sample: Sample, template_type: TemplateType) -> Iterator[str]:
    yield f"  - name: {quoted(sample.name)}"
    yield f"    matches: {'true' if sample.must_match else 'false'}"
    yield "    inputs:" if sample.inputs else "    inputs: {}"
    for number, value in sample.inputs.items():
        field = _field(number, template_type)
        yield f"      {field.name}: {_value(value, field)}"


def _field(number: int, template_type: TemplateType) -> Field:
    if not 1 <= number <= template_type.arity:
        raise ValueError(f"{template_type.name} has no field {number}")
    return template_type.field(number)


def _value(value: Value, field: Field) -> str:
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, AddressPrefix):
        text = str(value).partition("/")[0] if value.is_single else str(value)
        return quoted(text)
    if field.kind is Kind.ENUM:
        names = [name for name, number in field.values.items() if number == value]
        if not names:
            raise ValueError(f"{field.name} has no value {value}")
        return names[0]
    return str(int(value))


def _bytes(value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    return quoted(text) if text.isprintable() else f'{{{HEX_KEY}: "{value.hex()}"}}'


def quoted(text: str) -> str:
    """The text as a YAML scalar on one line that every reader takes for this text."""
    if _PLAIN.fullmatch(text) and not is_ambiguous(text):
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(map(_escaped, text)) + '"'


def _prose(text: str) -> str:
    """Prose as a block, folded or line by line, where a block can hold exactly it."""
    lines = text.split("\n")
    if not all(line.isprintable() and line == line.strip() for line in lines):
        return quoted(text)
    if not (lines[0] and lines[-1]) or (len(lines) == 1 and len(text) <= _WIDTH):
        return quoted(text)
    style = "|-"
    if len(lines) == 1:
        style = ">-"
        lines = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
        if " ".join(lines) != text:
            return quoted(text)
    return f"{style}\n" + "\n".join(f"  {line}" if line else "" for line in lines)


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    if character == "\n":
        return "\\n"
    code = ord(character)
    if code < _ONE_BYTE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < _TWO_BYTES else f"\\U{code:08x}"


def _one_line(text: str) -> str:
    """Text that can't leave its comment."""
    return "".join(one if one.isprintable() else " " for one in text)
