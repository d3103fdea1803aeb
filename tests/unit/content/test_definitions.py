"""Template Type Definitions: the shipped ones, and what is refused with line and column."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from content.definitions import (
    FOLDER,
    MAX_FIELDS,
    DefinitionError,
    Kind,
    Rung,
    SchemaVersion,
    TemplateType,
    load_definitions,
)
from content.problems import Problem
from content.reasons import Reason
from content.record import HEADER
from tests.unit.content.examples import BY_NAME, IPC, PROCESS, TYPES

GOOD = """\
number: 7
name: sample
version: {major: 1, minor: 2}
title: A title.
description: A description.
fields:
  - number: 1
    name: operation
    kind: enum
    values: {open: 1, close: 2}
    rungs: [bpf_btf]
    description: What.
  - number: 2
    name: path
    kind: text
    capacity: 16
    encoding: arguments
    rungs: [bpf_btf, psutil]
    description: Where.
"""


def load(folder: Path, text: str, name: str = "sample") -> TemplateType:
    """The Template Type that a Definition of this text gives."""
    (folder / f"{name}.yaml").write_text(text)
    return next(iter(load_definitions(folder).values()))


def test_values_that_only_some_rungs_tell(tmp_path: Path) -> None:
    """Content that a rung can't serve would be accepted there, or be refused everywhere."""
    told = "    rungs: [bpf_btf, psutil]\n    value_supply: {%s}\n    description: What."
    text = GOOD.replace("    rungs: [bpf_btf]\n    description: What.", told, 1)
    field = load(tmp_path, text % "close: {rungs: [psutil], otherwise: open}").field(1)
    assert field.untold(Rung.PSUTIL, {2}) == frozenset()
    assert field.untold(Rung.BPF_BTF, {2}) == {2}
    assert field.untold(Rung.BPF_BTF, {1, 2}) == frozenset()
    alone = load(tmp_path, text % "close: {rungs: [psutil]}").field(1)
    assert alone.untold(Rung.BPF_BTF, {1, 2}) == {2}
    assert alone.value_supply[2].otherwise == 0
    for wrong in (
        "",
        "shut: {rungs: [psutil]}",
        "close: {rungs: [psutil, bpf_btf]}",
        "close: {rungs: [process_connector]}",
        "close: {rungs: []}",
        "close: {otherwise: open}",
        "close: {rungs: [psutil], otherwise: close}",
        "close: {rungs: [psutil], otherwise: shut}",
        "close: psutil",
        "close: {rungs: psutil}",
    ):
        assert refusal(tmp_path, text % wrong), wrong
    for wrong in ("close", "[close]"):
        assert len(refusal(tmp_path, text.replace("{%s}", wrong))) == 1, wrong
    assert len(refusal(tmp_path, text % "close: {rungs: [psutil], otherwise: [open]}")) == 1
    of_text = GOOD.replace(
        "    encoding: arguments\n", "    value_supply: {open: {rungs: [psutil]}}\n"
    )
    assert refusal(tmp_path, of_text)


def refusal(folder: Path, text: str) -> list[Problem]:
    """The problems for which a Definition of this text is refused."""
    with pytest.raises(DefinitionError) as refused:
        load(folder, text)
    assert {problem.reason for problem in refused.value.problems} == {Reason.DEFINITION_INVALID}
    return list(refused.value.problems)


def test_shipped_definitions() -> None:
    """A Template Type would be missing, or the arity of the incident be lost."""
    assert {name: one.number for name, one in BY_NAME.items()} == {
        "process": 1,
        "file": 2,
        "network": 3,
        "ipc": 4,
        "exit": 5,
        "privilege": 6,
        "module": 7,
        "process_access": 8,
        "memory": 9,
        "dns": 10,
    }
    assert IPC.arity == 20
    assert list(TYPES) == sorted(TYPES)


def test_every_rung_that_is_used_supplies_what_the_rung_above_does_not_lack() -> None:
    """A field could be supplied by a poorer rung only, which no content expects."""
    for template_type in TYPES.values():
        best = template_type.supplied_fields(Rung.BPF_BTF)
        assert best == frozenset(range(1, template_type.arity + 1))
        assert template_type.supplied_fields(Rung.PSUTIL) <= best


def test_everything_is_read(tmp_path: Path) -> None:
    """A part of the Definition would be ignored."""
    found = load(tmp_path, GOOD)
    assert (found.number, found.name, found.version) == (7, "sample", SchemaVersion(1, 2))
    operation, path = found.fields
    assert (operation.kind, dict(operation.values)) == (Kind.ENUM, {"open": 1, "close": 2})
    assert (path.kind, path.capacity, path.arguments) == (Kind.TEXT, 16, True)
    assert path.rungs == {Rung.BPF_BTF, Rung.PSUTIL}
    assert found.supplied_fields(Rung.PSUTIL) == {2}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("number: 7", "number: 0", 1),
        ("number: 7", "number: 65536", 1),
        ("number: 7", "number: seven", 1),
        ("number: 7", "number: 7\nextra: 1", 2),
        ("number: 7", "", 2),
        ("name: sample", "name: other", 2),
        ("name: sample", "name: [sample]", 2),
        ("major: 1", "major: 0", 3),
        ("minor: 2", "minor: -1", 3),
        ("minor: 2", 'minor: "2"', 3),
        ("A title.", '" "', 4),
        ("A title.", "12", 4),
        ("number: 2", "number: 3", 13),
        ("number: 2", "number: 1", 13),
        ("name: path", "name: operation", 13),
        ("name: path", "name: Path", 14),
        ("name: path", "name: pa__th", 14),
        ("name: path", "name: _path", 14),
        ("name: path", "name: 1path", 14),
        ("name: path", "name: register", 14),
        ("name: path", f"name: {'a' * 41}", 14),
        ("name: operation", "name: path_length", 13),
        ("kind: text", "kind: string", 15),
        ("kind: text", "kind: unsigned", 13),
        ("    capacity: 16\n", "", 13),
        ("capacity: 16", "capacity: 12", 16),
        ("capacity: 16", "capacity: 0", 16),
        ("capacity: 16", "capacity: 4104", 16),
        ("encoding: arguments", "encoding: utf8", 17),
        ("    values: {open: 1, close: 2}\n", "", 7),
        ("open: 1, close: 2}\n", "open: 1, close: 2}\n    encoding: arguments\n", 11),
        ("open: 1, close: 2", "", 10),
        ("{open: 1, close: 2}", "[open, close]", 10),
        ("{open: 1, close: 2}", "1", 10),
        ("close: 2", "close: 1", 10),
        ("close: 2", "close: 0", 10),
        ("close: 2", "close: 65536", 10),
        ("close: 2", "Close: 2", 10),
        ("close: 2", "open: 2", 10),
        ("rungs: [bpf_btf]", "rungs: [bpf_btf, bpf_btf]", 11),
        ("rungs: [bpf_btf]", "rungs: []", 11),
        ("rungs: [bpf_btf]", "rungs: bpf_btf", 11),
        ("rungs: [bpf_btf]", "rungs: [kernel_module]", 11),
        ("    description: Where.\n", "", 13),
        ("fields:", "fields: []\nmore:", 6),
        ("fields:", "fields: 7\nmore:", 6),
        ("title:", "title", 5),
        ("[bpf_btf]", "*rungs", 11),
    ],
)
def test_what_is_not_a_definition_is_refused(tmp_path: Path, old: str, new: str, line: int) -> None:
    """A Definition with a mistake would give another record layout than its author meant."""
    assert old in GOOD
    found = refusal(tmp_path, GOOD.replace(old, new, 1))
    assert line in [problem.line for problem in found]
    assert all(problem.file.endswith("sample.yaml") for problem in found)


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"kind: text": "kind: string"}, ["fields[1].kind"]),
        (
            {"name: operation": "name: Op", "name: path": "name: Path"},
            ["fields[0].name", "fields[1].name"],
        ),
        ({"What.": '" "', "Where.": '" "'}, ["fields[0].description", "fields[1].description"]),
        (
            {"open: 1, close: 2": "open: a, close: b"},
            ["fields[0].values.open", "fields[0].values.close"],
        ),
        ({"open: 1, close: 2": "Open: 1, Close: 2"}, ["fields[0].values", "fields[0].values"]),
        ({"major: 1, minor: 2": "major: a, minor: b"}, ["version.major", "version.minor"]),
        ({"capacity: 16": "capacity: a"}, ["fields[1].capacity"]),
    ],
)
def test_one_mistake_is_one_problem(
    tmp_path: Path, changes: dict[str, str], places: list[str]
) -> None:
    """An author would look for mistakes that only follow from the first one."""
    text = GOOD
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    assert [problem.place for problem in refusal(tmp_path, text)] == places


def test_arity_is_bounded(tmp_path: Path) -> None:
    """A field would have no bit in the record's masks."""
    field = "  - {number: %d, name: f%d, kind: unsigned, rungs: [psutil], description: x}\n"
    head = GOOD[: GOOD.index("  - number")]
    most = "".join(field % (number, number) for number in range(1, MAX_FIELDS + 1))
    assert load(tmp_path, head + most).arity == MAX_FIELDS
    over = most + field % (MAX_FIELDS + 1, MAX_FIELDS + 1)
    assert refusal(tmp_path, head + over)[0].found == f"{MAX_FIELDS + 1} fields"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("number: 7", "number: 65535"),
        ("number: 7", "number: 1"),
        ("major: 1", "major: 65535"),
        ("minor: 2", "minor: 65535"),
        ("minor: 2", "minor: 0"),
        ("capacity: 16", "capacity: 4096"),
        ("capacity: 16", "capacity: 8"),
        ("close: 2", "close: 65535"),
    ],
)
def test_numbers_at_their_limits(tmp_path: Path, old: str, new: str) -> None:
    """The limits would be off by one."""
    assert old in GOOD
    assert load(tmp_path, GOOD.replace(old, new, 1)).arity == 2


def test_a_type_needs_fields(tmp_path: Path) -> None:
    """A record would have nothing in it."""
    (problem,) = refusal(tmp_path, GOOD[: GOOD.index("fields:")] + "fields: []\n")
    assert (problem.place, problem.found) == ("fields", "0 fields")
    assert load(tmp_path, GOOD[: GOOD.index("  - number: 2")]).arity == 1


def test_longest_name(tmp_path: Path) -> None:
    """The limit would be off by one."""
    name = "a" * 40
    assert load(tmp_path, GOOD.replace("name: path", f"name: {name}")).fields[1].name == name


@pytest.mark.parametrize("name", [name for name, _ in HEADER])
def test_names_of_the_header_are_taken(tmp_path: Path, name: str) -> None:
    """A field would collide with the record's header in the C struct."""
    refusal(tmp_path, GOOD.replace("name: path", f"name: {name}"))


def test_numbers_are_unique_over_files(tmp_path: Path) -> None:
    """Two Template Types would claim the same events."""
    (tmp_path / "sample.yaml").write_text(GOOD)
    (tmp_path / "second.yaml").write_text(GOOD.replace("name: sample", "name: second"))
    with pytest.raises(DefinitionError, match="7, as in sample"):
        load_definitions(tmp_path)


def test_all_files_are_reported(tmp_path: Path) -> None:
    """An author would correct one file per run."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text("number: 1\n")
    with pytest.raises(DefinitionError) as refused:
        load_definitions(tmp_path)
    files = {Path(problem.file).name for problem in refused.value.problems}
    assert files == {"one.yaml", "two.yaml"}


def test_a_folder_without_definitions_is_refused(tmp_path: Path) -> None:
    """A sensor that was installed without its Definitions would start and see nothing."""
    with pytest.raises(DefinitionError, match="a file per Template Type"):
        load_definitions(tmp_path)


def test_fingerprint_follows_number_name_and_kind() -> None:
    """Content for another list of fields would be taken for content for this one."""
    first, *rest = PROCESS.fields
    changes = [
        replace(PROCESS, fields=(replace(first, name="program"), *rest)),
        replace(PROCESS, fields=(replace(first, kind=Kind.UNSIGNED), *rest)),
        replace(PROCESS, fields=(replace(first, number=2), *rest)),
        replace(PROCESS, fields=tuple(rest)),
        replace(PROCESS, fields=tuple(reversed(PROCESS.fields))),
    ]
    fingerprints = {one.fingerprint for one in [PROCESS, *changes]}
    assert len(fingerprints) == len(changes) + 1
    prose = replace(PROCESS, fields=(replace(first, description="other words"), *rest))
    assert prose.fingerprint == PROCESS.fingerprint
    assert len(PROCESS.fingerprint) == 32


def test_field_numbers_are_bounded() -> None:
    """A number outside 1 to arity would give some other field."""
    for number in (-1, 0, PROCESS.arity + 1):
        with pytest.raises(KeyError):
            PROCESS.field(number)
    assert PROCESS.field(PROCESS.arity).number == PROCESS.arity


def test_template_types_can_be_looked_up() -> None:
    """The layout of a record would be computed again for every event."""
    assert hash(PROCESS) == hash(load_definitions(FOLDER)[PROCESS.number])
    assert re.fullmatch(r"\d+\.\d+", str(PROCESS.version))
