"""Template Type Definitions, read strictly: what is not exactly a Definition is refused.

One YAML file per Template Type, named after it. All problems of all files are reported at once, as
one `DefinitionError`; a sensor with a wrong Definition doesn't start.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from content.problems import ContentError, Problem
from content.reasons import Reason
from content.record import HEADER
from content.template_type import (
    MAX_FIELDS,
    RUNG_NUMBERS,
    TEXT_CAPACITY_STEP,
    Field,
    Kind,
    Rung,
    SchemaVersion,
    TemplateType,
    ValueSupply,
)
from content.yaml_form import Form
from content.yaml_reader import MappingNode, Node, Scalar, read_file

__all__ = [
    "FOLDER",
    "MAX_FIELDS",
    "RUNG_NUMBERS",
    "TEXT_CAPACITY_STEP",
    "DefinitionError",
    "Field",
    "Kind",
    "Rung",
    "SchemaVersion",
    "TemplateType",
    "load_definitions",
]

FOLDER = Path(__file__).parent / "definitions"
"""Where the shipped Definitions are."""

MAX_TEMPLATE_TYPE = 0xFFFF
"""Template Type numbers, versions and enum values are held in 16 bits."""

MAX_CAPACITY = 4096
"""Bytes of the longest text; a record must stay small against a ring buffer."""

MAX_NAME_CHARACTERS = 40

_OF_ENUMS = ("values", "value_supply")

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

# Field names become members of a C struct beside the record's header (content.record).
_TAKEN_NAMES = frozenset(
    (
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "asm",
        "typeof",
    )
) | {name for name, _ in HEADER}


_Member = TypeVar("_Member", Kind, Rung)


class DefinitionError(ContentError):
    """A Template Type Definition is not valid."""


def load_definitions(folder: Path = FOLDER) -> Mapping[int, TemplateType]:
    """All Template Types of a folder, by number; DefinitionError with every problem found."""
    problems: list[Problem] = []
    types: dict[int, TemplateType] = {}
    for path in sorted(folder.glob("*.yaml")):
        template_type, found = _load(path)
        problems += found
        if template_type is None:
            continue
        if template_type.number in types:
            other = types[template_type.number].name
            problems.append(
                _problem(path, "number", f"{template_type.number}, as in {other}", "a free number")
            )
        types[template_type.number] = template_type
    if not types and not problems:
        problems.append(_problem(folder, "folder", "no *.yaml file", "a file per Template Type"))
    if problems:
        raise DefinitionError(problems)
    return MappingProxyType(dict(sorted(types.items())))


def _problem(path: Path, place: str, found: str, expected: str) -> Problem:
    return Problem(Reason.DEFINITION_INVALID, place, found, expected, str(path))


def _load(path: Path) -> tuple[TemplateType | None, list[Problem]]:
    form = _DefinitionForm(str(path))
    try:
        template_type = form.template_type(read_file(path), path.stem)
        problems = form.problems
    except ContentError as error:
        template_type, problems = None, list(error.problems)
    problems = [replace(problem, reason=Reason.DEFINITION_INVALID) for problem in problems]
    return (None if problems else template_type), problems


class _DefinitionForm(Form):
    """Asks a YAML tree for a Template Type; what it returns counts only without problems."""

    def template_type(self, node: Node, file_name: str) -> TemplateType | None:
        keys = ("number", "name", "version", "title", "description", "fields")
        found = self.mapping(node, "definition", keys)
        if found is None:
            return None
        number = self._number(found["number"], "number", 1, MAX_TEMPLATE_TYPE)
        name = self._name(found["name"], "name")
        if name is not None and name != file_name:
            self._invalid(found["name"], "name", name, f"{file_name}, as the file is called")
        version = self._version(found["version"])
        title = self._prose(found["title"], "title")
        description = self._prose(found["description"], "description")
        fields = self._fields(found["fields"])
        if self.problems or number is None or name is None or version is None:
            return None
        return TemplateType(number, name, version, title or "", description or "", fields)

    def _version(self, node: Node) -> SchemaVersion | None:
        found = self.mapping(node, "version", ("major", "minor"))
        if found is None:
            return None
        major = self._number(found["major"], "version.major", 1, MAX_TEMPLATE_TYPE)
        minor = self._number(found["minor"], "version.minor", 0, MAX_TEMPLATE_TYPE)
        return None if major is None or minor is None else SchemaVersion(major, minor)

    def _fields(self, node: Node) -> tuple[Field, ...]:
        items = self.sequence(node, "fields") or ()
        if not 1 <= len(items) <= MAX_FIELDS:
            self._invalid(node, "fields", f"{len(items)} fields", f"1 to {MAX_FIELDS} fields")
            return ()
        fields = [self._field(item, number) for number, item in enumerate(items, start=1)]
        self._require_unique(items, fields)
        return tuple(field for field in fields if field is not None)

    def _field(self, node: Node, number: int) -> Field | None:
        place = f"fields[{number - 1}]"
        required = ("number", "name", "kind", "rungs", "description")
        found = self.mapping(node, place, required, ("capacity", "encoding", *_OF_ENUMS))
        if found is None:
            return None
        if self.integer(found["number"], f"{place}.number") not in (number, None):
            gap = f"{number}: fields are numbered from 1 without gaps"
            self._invalid(found["number"], f"{place}.number", _written(found["number"]), gap)
        name = self._name(found["name"], f"{place}.name")
        kind = self._member(found["kind"], f"{place}.kind", Kind)
        rungs = self._rungs(found["rungs"], f"{place}.rungs")
        description = self._prose(found["description"], f"{place}.description")
        if name is None or kind is None or description is None:
            return None
        values = self._values(node, found, place, kind)
        return Field(
            number=number,
            name=name,
            kind=kind,
            description=description,
            rungs=rungs,
            capacity=self._capacity(node, found, place, kind),
            arguments=self._arguments(found, place, kind),
            values=values,
            value_supply=self._value_supply(found, place, values, rungs),
        )

    def _capacity(self, node: Node, found: dict[str, Node], place: str, kind: Kind) -> int:
        if not self._belongs("capacity", node, found, place, kind, Kind.TEXT):
            return 0
        capacity = self._number(
            found["capacity"], f"{place}.capacity", TEXT_CAPACITY_STEP, MAX_CAPACITY
        )
        if capacity is not None and capacity % TEXT_CAPACITY_STEP:
            expected = f"a multiple of {TEXT_CAPACITY_STEP} bytes"
            self._invalid(found["capacity"], f"{place}.capacity", str(capacity), expected)
        return capacity or 0

    def _arguments(self, found: dict[str, Node], place: str, kind: Kind) -> bool:
        if "encoding" not in found:
            return False
        node, place = found["encoding"], f"{place}.encoding"
        if kind is not Kind.TEXT:
            self._invalid(node, place, f"encoding of kind {kind}", "encoding for text only")
        elif self.text(node, place) not in ("arguments", None):
            self._invalid(node, place, _written(node), "arguments")
        return True

    def _values(
        self, node: Node, found: dict[str, Node], place: str, kind: Kind
    ) -> Mapping[str, int]:
        if not self._belongs("values", node, found, place, kind, Kind.ENUM):
            return MappingProxyType({})
        node, place = found["values"], f"{place}.values"
        if not isinstance(node, MappingNode) or not node.entries:
            self._invalid(node, place, "no values", "a mapping of names to numbers")
            return MappingProxyType({})
        values: dict[str, int] = {}
        for key, value in node.entries:
            name = self._name(key, place)
            number = self._number(value, f"{place}.{key.text}", 1, MAX_TEMPLATE_TYPE)
            if name is None or number is None:
                continue
            if number in values.values():
                self._invalid(value, f"{place}.{name}", f"{number} again", "each number once")
            values[name] = number
        return MappingProxyType(values)

    def _value_supply(
        self,
        found: dict[str, Node],
        place: str,
        values: Mapping[str, int],
        rungs: frozenset[Rung],
    ) -> Mapping[int, ValueSupply]:
        """The values that only some of the field's rungs tell."""
        node, place = found.get("value_supply"), f"{place}.value_supply"
        if node is None:
            return MappingProxyType({})
        if not isinstance(node, MappingNode) or not node.entries:
            self._invalid(node, place, "no values", "a mapping of values to where they are told")
            return MappingProxyType({})
        supplies: dict[int, ValueSupply] = {}
        for key, entry in node.entries:
            number = self._value(key, f"{place}.{key.text}", values)
            supply = self._supply(entry, f"{place}.{key.text}", values, rungs)
            if number is None or supply is None:
                continue
            if supply.otherwise == number:
                self._invalid(entry, f"{place}.{key.text}", "itself otherwise", "another value")
            supplies[number] = supply
        return MappingProxyType(supplies)

    def _supply(
        self, node: Node, place: str, values: Mapping[str, int], of_field: frozenset[Rung]
    ) -> ValueSupply | None:
        found = self.mapping(node, place, ("rungs",), ("otherwise",))
        if found is None:
            return None
        rungs = self._rungs(found["rungs"], f"{place}.rungs")
        if not rungs < of_field:
            self._invalid(
                node, f"{place}.rungs", ", ".join(sorted(rungs)), "some of the field's, and not all"
            )
        otherwise = 0
        if "otherwise" in found:
            otherwise = self._value(found["otherwise"], f"{place}.otherwise", values) or 0
        return ValueSupply(rungs, otherwise)

    def _value(self, node: Node, place: str, values: Mapping[str, int]) -> int | None:
        """The number of a value of the same field, by its name."""
        name = self.text(node, place)
        if name is not None and name not in values:
            self._invalid(node, place, name, f"one of {', '.join(values) or 'no values'}")
        return values.get(name or "")

    def _rungs(self, node: Node, place: str) -> frozenset[Rung]:
        items = self.sequence(node, place)
        if items is None:
            return frozenset()
        rungs = [self._member(item, f"{place}[{index}]", Rung) for index, item in enumerate(items)]
        if not rungs or len(set(rungs)) < len(rungs):
            self._invalid(node, place, "no rung or one twice", "at least one rung, each once")
        return frozenset(rung for rung in rungs if rung is not None)

    def _require_unique(self, items: tuple[Node, ...], fields: list[Field | None]) -> None:
        members: set[str] = set()
        for node, field in zip(items, fields, strict=True):
            if field is None:
                continue
            own = {field.name} | ({f"{field.name}_length"} if field.kind is Kind.TEXT else set())
            if own & members:
                taken = f"{field.name}, which collides with an earlier field"
                self._invalid(node, "fields", taken, "a name of its own (and NAME_length for text)")
            members |= own

    def _belongs(
        self, key: str, node: Node, found: dict[str, Node], place: str, kind: Kind, only: Kind
    ) -> bool:
        if (key in found) is not (kind is only):
            verb = "a" if key in found else "no"
            expected = f"{key} for kind {only}, and for no other"
            self._invalid(node, f"{place}.{key}", f"{verb} {key} for kind {kind}", expected)
        return key in found and kind is only

    def _member(self, node: Node, place: str, members: type[_Member]) -> _Member | None:
        text = self.text(node, place)
        if text is None:
            return None
        try:
            return members(text)
        except ValueError:
            self._invalid(node, place, text, f"one of {', '.join(members)}")
            return None

    def _name(self, node: Node, place: str) -> str | None:
        name = self.text(node, place)
        if name is None:
            return None
        if len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name) or name in _TAKEN_NAMES:
            expected = f"snake_case, at most {MAX_NAME_CHARACTERS} characters, no word of C"
            self._invalid(node, place, name, expected)
            return None
        return name

    def _prose(self, node: Node, place: str) -> str | None:
        text = self.text(node, place)
        if text is not None and not text.strip():
            self._invalid(node, place, "blank text", "text")
        return text.strip() if text else None

    def _number(self, node: Node, place: str, least: int, most: int) -> int | None:
        number = self.integer(node, place)
        if number is None or least <= number <= most:
            return number
        self._invalid(node, place, str(number), f"{least} to {most}")
        return None

    def _invalid(self, node: Node, place: str, found: str, expected: str) -> None:
        self.problem(Reason.DEFINITION_INVALID, node, place, found, expected)


def _written(node: Node) -> str:
    return node.text if isinstance(node, Scalar) else "not a scalar"
