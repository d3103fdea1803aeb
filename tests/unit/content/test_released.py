"""No Definition changes without its version, and no number is used twice."""

from dataclasses import replace

import pytest

from content.definitions import FOLDER, load_definitions
from content.released import digest, disagreements, line, parse
from content.template_type import Kind, SchemaVersion, TemplateType, ValueSupply

TYPES = load_definitions()
LEDGER = (FOLDER / "released.txt").read_text(encoding="ascii")
IPC = TYPES[4]


def found(ledger: str, *types: TemplateType) -> list[str]:
    """Disagreements of some Template Types with a ledger."""
    return list(disagreements({one.number: one for one in types}, parse(ledger)))


def test_shipped_definitions_are_as_released() -> None:
    """Somebody changed a Definition without giving it a new version."""
    assert found(LEDGER, *TYPES.values()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"kind": Kind.SIGNED},
        {"name": "another"},
        {"rungs": frozenset()},
        {"capacity": 8},
        {"values": {"x": 1}},
        {"value_supply": {1: ValueSupply(frozenset())}},
        {"value_supply": {1: ValueSupply(frozenset(), otherwise=2)}},
    ],
)
def test_each_change_needs_a_version(change: dict[str, object]) -> None:
    """Two sensors of one version would disagree about what they supply."""
    field = replace(IPC.fields[3], **change)  # type: ignore[arg-type]
    changed = replace(IPC, fields=(*IPC.fields[:3], field, *IPC.fields[4:]))
    assert "give it a new version" in found(line(IPC), changed)[0]
    versioned = replace(changed, version=SchemaVersion(2, 0))
    assert "is not released" in found(line(IPC), versioned)[0]
    assert found(line(IPC) + "\n" + line(versioned), versioned) == []


def test_a_21st_field_needs_a_version() -> None:
    """February 2024 would repeat itself."""
    field = replace(IPC.fields[1], number=21, name="new_field")
    assert found(line(IPC), replace(IPC, fields=(*IPC.fields, field)))


def test_words_for_people_need_none() -> None:
    """A better description would force a new version on everybody."""
    assert digest(replace(IPC, title="Other words.", description="Other words.")) == digest(IPC)


def test_a_definition_does_not_just_disappear() -> None:
    """Its number would look free."""
    assert "has no Definition any more" in found(line(IPC))[0]
    assert found(line(IPC) + "\n4 ipc retired") == []


def test_a_retired_number_is_never_used_again() -> None:
    """Old content would be evaluated as something else."""
    assert "retired for good" in found(line(IPC) + "\n4 ipc retired", IPC)[0]
    other = replace(IPC, name="other")
    assert found(f"4 ipc retired\n{line(other)}", other)


@pytest.mark.parametrize("text", ["4 ipc", "4 ipc 1.0 abc", "ipc 4 1.0 " + "0" * 64])
def test_a_damaged_ledger_is_refused(text: str) -> None:
    """A line that nobody understands would count as released."""
    with pytest.raises(ValueError, match="line 1"):
        parse(text)
