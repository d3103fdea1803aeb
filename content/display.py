"""A Channel File for people and programs to look at: plain, JSON-ready values.

Fields and enum values bear their names where the Definition that the content was written for is
known, else their numbers. Bytes are escaped so that they are printable and nothing is lost.
"""

from typing import Any

from content.channel_file import content_hash, pack
from content.escape import safe
from content.model import (
    AddressPrefix,
    ChannelFile,
    Criterion,
    Operator,
    Sample,
    TemplateInstance,
    Value,
)
from content.template_type import Field, Kind, TemplateType


def channel_file_document(
    channel_file: ChannelFile, template_type: TemplateType | None
) -> dict[str, Any]:
    """Everything that a Channel File says; give no Template Type whose fingerprint differs."""
    reference = channel_file.template_type
    return {
        "template_type": {
            "number": reference.number,
            "name": template_type.name if template_type else None,
            "schema": str(reference.version),
            "arity": reference.arity,
            "fingerprint": reference.fingerprint.hex(),
        },
        "version": channel_file.version,
        "content_hash": content_hash(pack(channel_file)).hex(),
        "instances": [instance_document(one, template_type) for one in channel_file.instances],
    }


def text_lines(channel_file: ChannelFile, template_type: TemplateType | None) -> list[str]:
    """What a Channel File is and what its instances match, escaped, a line each."""
    reference = channel_file.template_type
    name = template_type.name if template_type else "unknown to this release"
    schema = f"schema {reference.version}, {reference.arity} fields"
    lines = [
        f"{name} (Template Type {reference.number}, {schema}), version {channel_file.version}",
        f"content hash {content_hash(pack(channel_file)).hex()}",
    ]
    for instance in channel_file.instances:
        facts = [instance.disposition.name.lower(), instance.severity.name.lower()]
        facts += map(safe, instance.attack_techniques)
        lines += ["", f"{safe(instance.id)}  {'  '.join(facts)}", f"  {safe(instance.title)}"]
        if origin := [one for one in (instance.author, instance.license, instance.source) if one]:
            lines.append(f"  by {'; '.join(map(safe, origin))}")
        for number, clause in enumerate(instance.clauses):
            lines.append("  or where" if number else "  where")
            lines += [f"    {criterion_text(one, template_type)}" for one in clause.criteria]
    return lines


def criterion_text(criterion: Criterion, template_type: TemplateType | None) -> str:
    """As `image ends_with "/sh" or "/bash"`."""
    field = _field(criterion.field, template_type)
    words = [field.name if field else f"field {criterion.field}"]
    if criterion.negated:
        words.append("not")
    words.append(criterion.operator.name.lower())
    if criterion.operator is not Operator.EXISTS:
        shown = [_value(value, field) for value in criterion.values]
        words.append(" or ".join(f'"{one}"' if isinstance(one, str) else str(one) for one in shown))
    if criterion.case_sensitive:
        words.append("(case-sensitive)")
    return " ".join(words)


def instance_document(
    instance: TemplateInstance, template_type: TemplateType | None
) -> dict[str, Any]:
    """Everything that an instance says, part by part."""
    return {
        "id": instance.id,
        "disposition": instance.disposition.name.lower(),
        "severity": instance.severity.name.lower(),
        "title": instance.title,
        "description": instance.description,
        "attack_techniques": list(instance.attack_techniques),
        "false_positives": list(instance.false_positives),
        "author": instance.author,
        "license": instance.license,
        "source": instance.source,
        "references": list(instance.references),
        "clauses": [
            [_criterion(criterion, template_type) for criterion in clause.criteria]
            for clause in instance.clauses
        ],
        "samples": [_sample(sample, template_type) for sample in instance.samples],
    }


def _criterion(criterion: Criterion, template_type: TemplateType | None) -> dict[str, Any]:
    field = _field(criterion.field, template_type)
    return {
        "field": field.name if field else criterion.field,
        "operator": criterion.operator.name.lower(),
        "values": [_value(value, field) for value in criterion.values],
        "negated": criterion.negated,
        "case_sensitive": criterion.case_sensitive,
    }


def _sample(sample: Sample, template_type: TemplateType | None) -> dict[str, Any]:
    inputs = {}
    for number, value in sample.inputs.items():
        field = _field(number, template_type)
        inputs[field.name if field else str(number)] = _value(value, field)
    return {"name": sample.name, "matches": sample.must_match, "inputs": inputs}


def _field(number: int, template_type: TemplateType | None) -> Field | None:
    if template_type is None or not 1 <= number <= template_type.arity:
        return None
    return template_type.field(number)


def _value(value: Value, field: Field | None) -> str | int:
    if isinstance(value, bytes):
        return safe(value)
    if isinstance(value, AddressPrefix):
        return str(value)
    if field is not None and field.kind is Kind.ENUM:
        names = {number: name for name, number in field.values.items()}
        return names.get(value, int(value))
    return int(value)
