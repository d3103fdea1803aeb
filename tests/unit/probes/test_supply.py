"""Definitions and integration code are compared: the first finding of the incident."""

from dataclasses import replace

import pytest

from content.definitions import Field, Kind, Rung, TemplateType, load_definitions
from probes import connector_collector, program, psutil_collector
from probes.errors import ProbeError, ProbeReason
from probes.supply import check_supplied, check_supply, supplied_names

TYPES = load_definitions()
NAMES = [kind.name for kind in TYPES.values()]
EVERYTHING = program.Part(dict.fromkeys(NAMES, 0))
SOURCES = program.sources(EVERYTHING)
IN_PYTHON = {
    Rung.PSUTIL: psutil_collector.SUPPLIED,
    Rung.PROCESS_CONNECTOR: connector_collector.SUPPLIED,
}
IPC = 4


def with_field(template_type: TemplateType, name: str) -> TemplateType:
    """The same with one field more, as the Definition of the incident had."""
    number = template_type.arity + 1
    extra = Field(number, name, Kind.UNSIGNED, "", frozenset(Rung))
    return replace(template_type, fields=(*template_type.fields, extra))


def without_field(template_type: TemplateType) -> TemplateType:
    """The same without its last field."""
    return replace(template_type, fields=template_type.fields[:-1])


def test_shipped_definitions_are_supplied() -> None:
    """If it failed, the sensor would promise fields that its programs never fill in."""
    for rung in program.BPF_RUNGS:
        check_supply(TYPES.values(), program.sources(EVERYTHING, rung), rung)


@pytest.mark.parametrize("number", sorted(TYPES))
def test_a_field_more_than_is_supplied(number: int) -> None:
    """If it failed, a Definition of 21 fields could run on a supply of 20."""
    wrong = with_field(TYPES[number], "twenty_first")
    with pytest.raises(ProbeError, match="twenty_first is defined but never filled in") as caught:
        check_supply([wrong], SOURCES, Rung.BPF_BTF)
    assert caught.value.reason is ProbeReason.SUPPLY_MISMATCH
    assert f"Template Type {wrong.name}" in caught.value.detail


@pytest.mark.parametrize("number", sorted(TYPES))
def test_a_field_less_than_is_supplied(number: int) -> None:
    """If it failed, code could fill in what no Definition knows."""
    wrong = without_field(TYPES[number])
    gone = TYPES[number].fields[-1].name
    with pytest.raises(ProbeError, match=f"{gone} is filled in but not defined"):
        check_supply([wrong], SOURCES, Rung.BPF_BTF)


def test_counts_are_in_the_words() -> None:
    """If it failed, the message would not say 21 against 20."""
    with pytest.raises(ProbeError, match="the Definition has 21 fields, the code supplies 20"):
        check_supply([with_field(TYPES[IPC], "extra")], SOURCES, Rung.BPF_BTF)


def test_every_fill_that_is_removed_is_noticed() -> None:
    """If it failed, a field could stop being filled in and nobody would know."""
    text = "\n".join(SOURCES)
    for kind in TYPES.values():
        own = supplied_names([text])[kind.name]
        assert own == {field.name for field in kind.fields}
    broken = text.replace("NUMBER(ipc, record, abstract,", "IGNORE(ipc, record, abstract,")
    assert "abstract" not in supplied_names([broken])["ipc"]


def test_comments_supply_nothing() -> None:
    """If it failed, a field that is only mentioned would count as supplied."""
    assert supplied_names(["/* NUMBER(ipc, record, path, 1) */"]) == {}


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: str(kind.name))
@pytest.mark.parametrize("rung", IN_PYTHON)
def test_collectors_in_python_are_compared_as_well(rung: Rung, kind: TemplateType) -> None:
    """If it failed, a lower rung could promise a field that it never fills in."""
    filled = IN_PYTHON[rung].get(kind.name, frozenset())
    check_supplied(kind, filled, rung)
    with pytest.raises(ProbeError, match="twenty_first is defined but never filled in"):
        check_supplied(with_field(kind, "twenty_first"), filled, rung)
