"""The schema for editors: shipped content fits, mistakes don't, and it is what is committed."""

import json
from pathlib import Path
from typing import Any

import pytest
import ruamel.yaml
from typer.testing import CliRunner

from cli.content import application
from cli.output import ExitCode
from content.authoring import read_instance_text
from content.checking import check
from content.json_schema import FILE, schema, text
from content.model import OPERATORS, Operator
from content.skeleton import skeleton
from content.template_type import Rung, TemplateType
from tests.unit.content.examples import TYPES, YAML
from tests.unit.content.schema_checker import Checker

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "content/instances").rglob("*.yaml"))
SCHEMA = schema(TYPES)
CRITERION = "{field: image, operator: ends_with, values: [/sh]}"


def fits(document: str) -> bool:
    """Whether a YAML text fits the schema, as an editor reads it."""
    return Checker(SCHEMA).fits(ruamel.yaml.YAML(typ="safe").load(document))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_instances_fit(path: Path) -> None:
    """Editors would mark good content as wrong."""
    assert fits(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "criterion",
    [
        "{field: image, operator: exists}",
        "{field: image, operator: exists, values: []}",
        "{field: image, operator: equals, values: [{hex: '2f ff'}], case_sensitive: true}",
        "{field: pid, operator: less, values: [0x1f], negated: true}",
        "{field: pid, operator: equals, values: [1, 18446744073709551615], case_sensitive: false}",
    ],
)
def test_whatever_check_accepts_fits(criterion: str, tmp_path: Path) -> None:
    """Editors would mark good content as wrong."""
    document = YAML.replace(CRITERION, criterion)
    assert fits(document)
    (tmp_path / "a.yaml").write_text(document)
    reasons = {one.reason for one in check([tmp_path], TYPES, Rung.BPF_BTF).problems}
    assert reasons <= {"SAMPLE_FAILED"}


@pytest.mark.parametrize(
    ("good", "wrong"),
    [
        ("severity: low", "severity: lowest"),
        ("severity: low", "sevrity: low"),
        ("id: any-shell", "id: Any Shell"),
        ("id: any-shell\n", ""),
        ("template_type: process", "template_type: proces"),
        ('schema: "4.0"', 'schema: "1.0"'),
        ('schema: "4.0"', "schema: 4.0"),
        ("title: A shell", "title: ''"),
        ("title: A shell", "title: 12"),
        ("severity: low", "severity: low\nattack: [shell]"),
        ("severity: low", "severity: low\nauthor: ''"),
        ("clauses: [[" + CRITERION + "]]", "clauses: []"),
        ("clauses: [[" + CRITERION + "]]", "clauses: [[]]"),
        (CRITERION, "{field: picture, operator: exists}"),
        (CRITERION, "{field: remote_port, operator: exists}"),
        (CRITERION, "{field: image, operator: starts, values: [a]}"),
        (CRITERION, "{field: image, operator: less, values: [a]}"),
        (CRITERION, "{field: image, operator: equals}"),
        (CRITERION, "{field: image, operator: equals, values: []}"),
        (CRITERION, "{field: image, operator: equals, values: ['']}"),
        (CRITERION, "{field: image, operator: equals, values: [12]}"),
        (CRITERION, "{field: image, operator: equals, values: [{hex: xy}]}"),
        (CRITERION, "{field: image, operator: exists, values: [a]}"),
        (CRITERION, "{field: image, operator: exists, case_sensitive: true}"),
        (CRITERION, "{field: pid, operator: contains, values: [1]}"),
        (CRITERION, "{field: pid, operator: less, values: [1, 2]}"),
        (CRITERION, "{field: pid, operator: equals, values: ['1']}"),
        (CRITERION, "{field: pid, operator: equals, values: [-1]}"),
        (CRITERION, "{field: pid, operator: equals, values: [18446744073709551616]}"),
        (CRITERION, "{field: pid, operator: equals, values: [1], case_sensitive: true}"),
        (CRITERION, "{field: image, operator: exists, negated: perhaps}"),
        ("matches: false", "matches: true"),
        ("matches: false", "matches: maybe"),
        ("inputs: {image: /bin/ls}", "inputs: {picture: /bin/ls}"),
        ("inputs: {image: /bin/ls}", "inputs: {pid: one}"),
    ],
)
def test_mistakes_do_not_fit(good: str, wrong: str, tmp_path: Path) -> None:
    """An author would hear of a mistake only after leaving the editor; or check would accept it."""
    assert good in YAML
    document = YAML.replace(good, wrong)
    assert not fits(document)
    (tmp_path / "a.yaml").write_text(document)
    assert check([tmp_path], TYPES, Rung.BPF_BTF).problems


@pytest.mark.parametrize("template_type", TYPES.values(), ids=lambda one: one.name)
def test_every_field_takes_its_operators_only(template_type: TemplateType) -> None:
    """An editor would offer what `check` refuses, or withhold what it accepts."""
    checker = Checker(SCHEMA)
    criterion = SCHEMA["$defs"][template_type.name]["$defs"]["criterion"]
    for field in template_type.fields:
        value: Any = {"unsigned": 1, "signed": 1, "address": "10.0.0.1", "text": "a"}.get(
            field.kind, next(iter(field.values), None)
        )
        for operator in Operator:
            document: dict[str, Any] = {"field": field.name, "operator": operator.name.lower()}
            if operator is not Operator.EXISTS:
                document["values"] = [value]
            allowed = operator in OPERATORS[field.kind]
            assert checker.fits(document, criterion) is allowed, document


@pytest.mark.parametrize("template_type", TYPES.values(), ids=lambda one: one.name)
def test_a_skeleton_only_lacks_samples(template_type: TemplateType) -> None:
    """A new file would be marked as wrong where it is not."""
    document = ruamel.yaml.YAML(typ="safe").load(skeleton(template_type, "my-idea"))
    assert not Checker(SCHEMA).fits(document)
    document["samples"] = [
        {"name": "a", "matches": True, "inputs": {}},
        {"name": "b", "matches": False, "inputs": {}},
    ]
    assert Checker(SCHEMA).fits(document)


def test_a_sample_may_have_an_empty_text() -> None:
    """An editor would mark a program without arguments as wrong."""
    document = YAML.replace("{image: /bin/ls}", "{image: /bin/ls, command_line: ''}")
    assert fits(document)
    authored = read_instance_text(document.encode(), "a.yaml", TYPES)
    assert authored.instance.samples[1].inputs[2] == b""


def test_fields_of_another_type_do_not_fit() -> None:
    """Content for one Template Type would be completed with another's fields."""
    document = YAML.replace(
        'template_type: process\nschema: "4.0"', 'template_type: network\nschema: "1.1"'
    )
    assert fits(document)  # image is a field of both
    assert not fits(document.replace("image: /bin/ls", "argument_count: 1"))


def test_what_is_committed_is_what_is_generated() -> None:
    """Editors would check against another release's fields."""
    assert (ROOT / "docs" / FILE).read_text(encoding="utf-8") == text(TYPES)


def test_the_command_writes_and_compares(tmp_path: Path) -> None:
    """Lint could not tell that the schema is out of date."""
    path = tmp_path / "schema.json"
    arguments = ["schema", "--output", str(path)]
    runner = CliRunner()
    assert runner.invoke(application, [*arguments, "--check"]).exit_code == ExitCode.REFUSED
    assert not path.exists()
    assert runner.invoke(application, arguments).exit_code == ExitCode.OK
    assert json.loads(path.read_text()) == SCHEMA
    assert runner.invoke(application, [*arguments, "--check"]).exit_code == ExitCode.OK
