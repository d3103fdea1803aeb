"""Shipped instances: clean, packable, with samples that hold, and quiet on ordinary days."""

import functools
import re
import shlex
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest

from content import samples
from content.authoring import assemble, read_instance
from content.channel_file import load, pack
from content.definitions import load_definitions
from content.interpreter import Interpreter
from content.model import ChannelFile, Disposition
from content.record import Records, encode
from content.supply import Supply
from content.template_type import Kind, Rung, TemplateType
from content.validator import validate
from tests.unit.content import reference_evaluator
from tests.unit.content.interpreter_helpers import MATCHERS

FOLDER = Path(__file__).parents[3] / "content" / "instances"
FILES = sorted(FOLDER.rglob("*.yaml"))
HERE = Path(__file__).parent
COMMANDS = (HERE / "ordinary_commands.txt").read_text(encoding="utf-8").splitlines()
EVENTS = (HERE / "ordinary_events.txt").read_text(encoding="utf-8").splitlines()
TYPES = load_definitions()
BY_NAME = {one.name: one for one in TYPES.values()}


@functools.cache
def shipped() -> Mapping[str, ChannelFile]:
    """The shipped Channel Files by name of their Template Type."""
    authored = assemble([read_instance(path, TYPES) for path in FILES], version=1)
    files = [one.channel_file for one in authored]
    return {TYPES[file.template_type.number].name: file for file in files}


def event(template_type: TemplateType, values: Mapping[str, str]) -> Records:
    """A record from inputs by field name, as an author would write them."""
    inputs: dict[int, bytes | int] = {}
    for name, value in values.items():
        (field,) = (one for one in template_type.fields if one.name == name)
        if field.kind is Kind.TEXT:
            inputs[field.number] = value.encode()
        elif field.kind is Kind.ADDRESS:
            inputs[field.number] = ip_address(value).packed
        else:
            inputs[field.number] = field.values[value] if field.values else int(value, 0)
    return encode(template_type, inputs, rung=Rung.BPF_BTF)


def detections(
    name: str, events: Sequence[Mapping[str, str]]
) -> list[tuple[str, Mapping[str, str]]]:
    """Which instances match which of these events, RE2 and the reference agreeing."""
    template_type = BY_NAME[name]
    records = np.concatenate([event(template_type, one) for one in events])
    expected = reference_evaluator.evaluate([shipped()[name]], template_type, records)
    for matcher in MATCHERS:
        engine = Interpreter([shipped()[name]], TYPES, matcher=matcher)
        found = engine.evaluate(template_type, records).matches
        assert [(one.row, one.instance.id, one.clause) for one in found] == expected
    return [(instance, events[row]) for row, instance, _ in expected]


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_shipped_content_is_valid_packs_and_passes_its_samples(name: str) -> None:
    """A sensor would refuse the content that it ships with."""
    file = shipped()[name]
    assert validate(file, Supply.of(TYPES, Rung.BPF_BTF), TYPES) == []
    assert load(pack(file)) == file
    assert samples.check(file, TYPES) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_instance_is_where_its_name_says_and_shows_both_answers(path: Path) -> None:
    """An instance would be hard to find, or hardly be tried before it is released."""
    authored = read_instance(path, TYPES)
    instance = authored.instance
    assert (instance.id, authored.template_type.name) == (path.stem, path.parent.name)
    answers = [sample.must_match for sample in instance.samples]
    assert answers.count(True) >= 2
    assert answers.count(False) >= 2
    is_canary = "canary" in instance.id
    assert bool(instance.attack_techniques) is not is_canary
    assert (instance.disposition is Disposition.PREVENT) is (
        instance.id == "bulkhead-prevent-canary"
    )


def test_the_guide_lists_every_shipped_instance_with_its_severity() -> None:
    """People would not learn what the sensor looks for."""
    guide = (FOLDER.parents[1] / "docs" / "instances.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"(?m)^\| `([a-z0-9-]+)` \| (\w+)", guide))
    instances = [one for file in shipped().values() for one in file.instances]
    assert listed == {one.id: one.severity.name.lower() for one in instances}


def test_every_template_type_has_several_instances() -> None:
    """A kind of behaviour would go unseen by a fresh installation."""
    counts = {name: len(file.instances) for name, file in shipped().items()}
    assert counts.keys() == BY_NAME.keys()
    assert min(counts.values()) >= 3
    assert sum(counts.values()) >= 18


def test_ordinary_commands_are_no_detection() -> None:
    """People would learn to ignore detections."""
    assert len(COMMANDS) >= 200
    events: list[Mapping[str, str]] = []
    for line in COMMANDS:
        program = line.split(" ")[0]
        parent = {"parent_image": "/usr/bin/bash", "parent_command_line": "-bash"}
        events.append({"image": f"/usr/bin/{program}", "command_line": line, **parent})
        for shell in ("/bin/sh", "/usr/bin/bash"):
            command_line = f"{shell.rpartition('/')[2]} -c {line}"
            events.append({"image": shell, "command_line": command_line, **parent})
    assert detections("process", events) == []


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - {"process"}))
def test_ordinary_events_are_no_detection(name: str) -> None:
    """People would learn to ignore detections."""
    events = [
        dict(word.split("=", 1) for word in words)
        for kind, *words in map(shlex.split, EVENTS)
        if kind == name
    ]
    assert len(events) >= 15
    assert detections(name, events) == []


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_engines_and_reference_agree_on_all_shipped_samples(name: str) -> None:
    """A shipped instance would be decided otherwise on a host without Hyperscan."""
    file, template_type = shipped()[name], BY_NAME[name]
    found = [sample for instance in file.instances for sample in instance.samples]
    records = np.concatenate(
        [encode(template_type, one.record_inputs(), rung=Rung.BPF_BTF) for one in found]
    )
    expected = reference_evaluator.evaluate([file], template_type, records)
    assert expected
    for matcher in MATCHERS:
        engine = Interpreter([file], TYPES, matcher=matcher)
        matches = engine.evaluate(template_type, records).matches
        assert [(one.row, one.instance.id, one.clause) for one in matches] == expected
