"""The generated C says what numpy reads: sizes, offsets, kinds."""

import subprocess
from pathlib import Path

import pytest

from content.definitions import TemplateType, load_definitions
from content.record import slots
from probes import kernel_source
from probes.counters import slots as counter_slots
from probes.layout import MARKER, header_text, lineage_dtype, lineage_text, type_text
from tests.needs import require_command
from tests.unit.probes.small_types import RECORD_BYTES, SMALL

TYPES = tuple(load_definitions().values())


def compiles(text: str, folder: Path) -> str:
    """What a C compiler says of the generated text with our types; empty if it agrees."""
    compiler = require_command("cc", "gcc")
    source = folder / "layout.c"
    source.write_text(kernel_source.TYPES + text)
    ended = subprocess.run(
        [compiler, "-std=gnu11", "-fsyntax-only", str(source)],
        capture_output=True,
        check=False,
        text=True,
    )
    return ended.stderr


def test_compiler_and_numpy_agree(tmp_path: Path) -> None:
    """If it failed, events would be read at other places than they are written."""
    text = header_text(TYPES, counter_slots(kind.number for kind in TYPES))
    assert compiles(text, tmp_path) == ""


@pytest.mark.parametrize("template_type", TYPES, ids=lambda kind: kind.name)
def test_a_member_of_another_width_is_named(template_type: TemplateType, tmp_path: Path) -> None:
    """If it failed, a disagreement would not say which type and field it is about."""
    member = next(slot for slot in slots(template_type) if slot.name == "pid")
    text = type_text(template_type).replace("    u64 pid;", "    u32 pid;")
    said = compiles(text, tmp_path)
    assert f"{MARKER} size of {template_type.name}.pid is not {member.size} bytes" in said


def test_members_in_another_order_are_named(tmp_path: Path) -> None:
    """If it failed, two fields that changed places would be read as each other."""
    text = type_text(SMALL).replace(
        "    u64 operation;\n    s64 result;", "    s64 result;\n    u64 operation;"
    )
    said = compiles(text, tmp_path)
    assert f"{MARKER} offset of small.operation is not 40 bytes" in said


def test_an_extra_field_changes_the_size(tmp_path: Path) -> None:
    """If it failed, a field that only one side knows would go unnoticed."""
    text = type_text(SMALL).replace("    u64 secret;", "    u64 secret;\n    u64 extra;")
    assert f"{MARKER} size of small is not {RECORD_BYTES} bytes" in compiles(text, tmp_path)


def test_constants_of_a_field() -> None:
    """If it failed, programs would mark the wrong field as present, or cut it elsewhere."""
    lines = set(type_text(SMALL).splitlines())
    assert {
        "#define TEMPLATE_TYPE_small 7",
        "#define SCHEMA_MAJOR_small 2",
        "#define SCHEMA_MINOR_small 3",
        "#define ARITY_small 6",
        "#define PRESENT_small_image (1ULL << 2)",
        "#define CAPACITY_small_image 16",
        "#define KIND_TEXT_small_image 1",
        "#define KIND_ARGUMENTS_small_command_line 1",
        "#define KIND_NUMBER_small_operation 1",
        "#define KIND_NUMBER_small_result 1",
        "#define KIND_ADDRESS_small_address 1",
        "#define small_operation_close 2",
    } <= lines


def test_lineage_value_is_the_same_for_both_sides(tmp_path: Path) -> None:
    """If it failed, seeded processes would have garbage for a name."""
    value = lineage_dtype([SMALL])
    assert value.itemsize == 40 + 16 + 24
    narrower = lineage_text([SMALL]).replace("    u64 start_boottime;\n", "")
    assert f"{MARKER} size of lineage" in compiles(narrower, tmp_path)
    assert compiles(lineage_text([SMALL]), tmp_path) == ""


def test_lineage_holds_the_longest_text_of_any_type() -> None:
    """If it failed, a parent's command line would be shorter than the record has room for."""
    value = lineage_dtype(TYPES)
    capacities = [
        one.capacity for kind in TYPES for one in kind.fields if one.name == "parent_command_line"
    ]
    assert value["command_line"].itemsize == max(capacities)
