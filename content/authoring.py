"""Template Instances as authors write them: one YAML file each, read with line and column.

`read_instance` turns a file into a `TemplateInstance` and remembers where everything stood;
`assemble` puts instances of one Template Type together as a Channel File whose problems
(from the validator, the samples) can be led back to file, line and column. Only form is checked
here; what content may mean is the validator's business. docs/content-language.md describes the
form.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

from content import authoring_values
from content.model import (
    OPERATORS,
    ChannelFile,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Sample,
    Severity,
    TemplateInstance,
    TemplateTypeReference,
    Value,
    read_only,
)
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.template_type import TemplateType
from content.yaml_form import Form, Mark
from content.yaml_reader import MappingNode, Node, Scalar, read, read_file

_KEYS = (
    "id",
    "template_type",
    "schema",
    "title",
    "description",
    "disposition",
    "severity",
    "clauses",
    "samples",
)
_ORIGIN_KEYS = ("author", "license", "source")
_OPTIONAL_KEYS = ("attack", "false_positives", *_ORIGIN_KEYS, "references")

WHOLE = "instance"
"""The place of a whole instance."""

_INSTANCE_PLACE = re.compile(r"instances\[(\d+)\]\.?(.*)", re.DOTALL)
_LAST_STEP = re.compile(r"(, |\.|\[)[^.\[,]*$")

_Enum = TypeVar("_Enum", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class AuthoredInstance:
    """A Template Instance and where it was written; marks are by place, WHOLE for all of it."""

    file: str
    template_type: TemplateType
    instance: TemplateInstance
    marks: Mapping[str, Mark]


@dataclass(frozen=True, slots=True)
class AuthoredChannelFile:
    """A Channel File put together from authors' files, in the same order."""

    channel_file: ChannelFile
    sources: tuple[AuthoredInstance, ...]

    def locate(self, problem: Problem) -> Problem:
        """The problem with file, line and column, where its place leads to an instance."""
        found = _INSTANCE_PLACE.fullmatch(problem.place)
        if found is None or int(found[1]) >= len(self.sources):
            return problem
        source, place = self.sources[int(found[1])], found[2]
        marked = place
        while marked not in source.marks:
            shorter = _LAST_STEP.sub("", marked)
            marked = shorter if shorter != marked else WHOLE
        mark = source.marks[marked]
        return replace(
            problem,
            place=place or WHOLE,
            found=_INSTANCE_PLACE.sub(self._name_of, problem.found),
            file=source.file,
            line=mark.line,
            column=mark.column,
        )

    def _name_of(self, found: re.Match[str]) -> str:
        index = int(found[1])
        return f"in {self.sources[index].file}" if index < len(self.sources) else found[0]


def read_instance(path: Path, types: Mapping[int, TemplateType]) -> AuthoredInstance:
    """The instance in a file; ContentError with every problem of form. OSError passes through."""
    return _of_tree(read_file(path), str(path), types)


def read_instance_text(
    data: bytes, file: str, types: Mapping[int, TemplateType]
) -> AuthoredInstance:
    """The instance in a text that is to become a file; ContentError as `read_instance`."""
    return _of_tree(read(data, file), file, types)


def read_inputs(data: bytes, file: str, template_type: TemplateType) -> Mapping[int, Value]:
    """An event as samples write its inputs, fields by name; ContentError as `read_instance`."""
    form = _InstanceForm(file)
    inputs = form.inputs(read(data, file), "inputs", template_type)
    if form.problems:
        raise ContentError(form.problems)
    return inputs


def _of_tree(node: Node, file: str, types: Mapping[int, TemplateType]) -> AuthoredInstance:
    form = _InstanceForm(file)
    authored = form.instance(node, types)
    if authored is None or form.problems:
        raise ContentError(form.problems)
    return authored


def assemble(authored: Iterable[AuthoredInstance], version: int) -> list[AuthoredChannelFile]:
    """One Channel File per Template Type, by number; instances by id, so that packing is stable."""
    by_type: dict[int, list[AuthoredInstance]] = {}
    for one in sorted(authored, key=lambda one: (one.instance.id, one.file)):
        by_type.setdefault(one.template_type.number, []).append(one)
    return [
        AuthoredChannelFile(_channel_file(sources, version), tuple(sources))
        for _, sources in sorted(by_type.items())
    ]


def _channel_file(sources: list[AuthoredInstance], version: int) -> ChannelFile:
    template_type = sources[0].template_type
    return ChannelFile(
        template_type=TemplateTypeReference(
            number=template_type.number,
            version=template_type.version,
            fingerprint=template_type.fingerprint,
            arity=template_type.arity,
        ),
        version=version,
        instances=tuple(source.instance for source in sources),
    )


class _InstanceForm(Form):
    """Asks a YAML tree for a Template Instance; what it returns counts only without problems."""

    def instance(self, node: Node, types: Mapping[int, TemplateType]) -> AuthoredInstance | None:
        found = self.mapping(node, WHOLE, _KEYS, _OPTIONAL_KEYS)
        if found is None:
            return None
        template_type = self._template_type(found, types)
        disposition = self._enum(found["disposition"], "disposition", Disposition)
        severity = self._enum(found["severity"], "severity", Severity)
        texts = {key: self.text(found[key], key) or "" for key in ("id", "title", "description")}
        techniques = self._optional_texts(found, "attack", "attack_techniques")
        false_positives = self._optional_texts(found, "false_positives", "false_positives")
        origin = {key: self._optional_line(found, key) for key in _ORIGIN_KEYS}
        references = self._optional_texts(found, "references", "references")
        if template_type is None:
            return None
        clauses = self._clauses(found["clauses"], template_type)
        samples = self._samples(found["samples"], template_type)
        if disposition is None or severity is None:
            return None
        instance = TemplateInstance(
            **texts,
            disposition=disposition,
            severity=severity,
            attack_techniques=techniques,
            false_positives=false_positives,
            clauses=clauses,
            samples=samples,
            **origin,
            references=references,
        )
        return AuthoredInstance(self.file, template_type, instance, self.marks)

    def _template_type(
        self, found: Mapping[str, Node], types: Mapping[int, TemplateType]
    ) -> TemplateType | None:
        name = self.text(found["template_type"], "template_type")
        schema = self.text(found["schema"], "schema")
        by_name = {template_type.name: template_type for template_type in types.values()}
        if name is None or name not in by_name:
            if name is not None:
                expected = f"one of {', '.join(by_name)}"
                reason = Reason.UNKNOWN_TEMPLATE_TYPE
                self.problem(reason, found["template_type"], "template_type", name, expected)
            return None
        version = str(by_name[name].version)
        if schema is not None and schema != version:
            expected = f'"{version}", the version of {name} that this release supplies'
            reason = Reason.SCHEMA_VERSION_MISMATCH
            self.problem(reason, found["schema"], "schema", schema, expected)
        return by_name[name]

    def _optional_texts(self, found: Mapping[str, Node], key: str, place: str) -> tuple[str, ...]:
        return (self.texts(found[key], place) or ()) if key in found else ()

    def _optional_line(self, found: Mapping[str, Node], key: str) -> str:
        if key not in found:
            return ""
        line = self.text(found[key], key)
        if line == "":
            self.problem(Reason.BLANK_VALUE, found[key], key, "empty text", f"text, or no {key}")
        return line or ""

    def _clauses(self, node: Node, template_type: TemplateType) -> tuple[Clause, ...]:
        clauses = []
        for number, item in enumerate(self.sequence(node, "clauses") or ()):
            place = f"clauses[{number}]"
            criteria = [
                self._criterion(one, f"{place}.criteria[{index}]", template_type)
                for index, one in enumerate(self.sequence(item, place) or ())
            ]
            clauses.append(Clause(tuple(one for one in criteria if one is not None)))
        return tuple(clauses)

    def _criterion(self, node: Node, place: str, template_type: TemplateType) -> Criterion | None:
        optional = ("values", "negated", "case_sensitive")
        found = self.mapping(node, place, ("field", "operator"), optional)
        if found is None:
            return None
        field = authoring_values.field_of(self, found["field"], f"{place}.field", template_type)
        operator = self._enum(found["operator"], f"{place}.operator", Operator)
        flags = {
            key: key in found and self.boolean(found[key], f"{place}.{key}") is True
            for key in ("negated", "case_sensitive")
        }
        if field is None or operator is None:
            return None
        values: list[Value | None] = []
        # What an operator that the kind doesn't have would mean by its values, nobody can say:
        # the validator refuses the operator.
        if operator in OPERATORS[field.kind] and "values" in found:
            items = self.sequence(found["values"], f"{place}.values") or ()
            values = [
                authoring_values.value(self, item, f"{place}.values[{index}]", field)
                for index, item in enumerate(items)
            ]
        given = tuple(value for value in values if value is not None)
        return Criterion(field.number, operator, given, **flags)

    def _samples(self, node: Node, template_type: TemplateType) -> tuple[Sample, ...]:
        samples = []
        for number, item in enumerate(self.sequence(node, "samples") or ()):
            place = f"samples[{number}]"
            found = self.mapping(item, place, ("name", "matches", "inputs"))
            if found is None:
                continue
            name = self.text(found["name"], f"{place}.name")
            must_match = self.boolean(found["matches"], f"{place}.must_match")
            inputs = self.inputs(found["inputs"], f"{place}.inputs", template_type)
            samples.append(Sample(name or "", must_match is True, read_only(inputs)))
        return tuple(samples)

    def inputs(self, node: Node, place: str, template_type: TemplateType) -> dict[int, Value]:
        inputs: dict[int, Value] = {}
        if not isinstance(node, MappingNode):
            self.mapping(node, place, ())
            return inputs
        self.marks[place] = Mark(node.line, node.column)
        for index, (key, item) in enumerate(node.entries):
            at = f"{place}[{index}]"
            field = authoring_values.field_of(self, _name(key), f"{at}.field", template_type)
            if field is None:
                continue
            value = authoring_values.value(self, item, f"{at}.value", field)
            if value is not None:
                inputs[field.number] = value
        return inputs

    def _enum(self, node: Node, place: str, members: type[_Enum]) -> _Enum | None:
        name = self.text(node, place)
        known = {member.name.lower(): member for member in members}
        if name is not None and name not in known:
            expected = f"one of {', '.join(known)}"
            self.problem(Reason.UNKNOWN_ENUM, node, place, name, expected)
        return known.get(name) if name is not None else None


def _name(key: Scalar) -> Scalar:
    """A key is a name whatever else it looks like, or else no field has it."""
    return replace(key, plain=False)
