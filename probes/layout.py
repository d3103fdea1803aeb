"""Records as C: structs, numbers and presence bits, written from the Definitions.

`header_text` is everything that the BPF programs know of Template Types, generated anew at every
start from `content.record.slots`. Size and every offset are asserted in the C itself, so that a
compiler that lays a struct out in another way than numpy reads it stops the start, naming type and
field. For a Template Type `file` with a text field `path` (number 2) and an enum `operation`:

    struct file_record          the record
    TEMPLATE_TYPE_file          its number; SCHEMA_MAJOR_file, SCHEMA_MINOR_file, ARITY_file
    PRESENT_file_path           1 << 2
    KIND_TEXT_file_path         defined only because path is a text (NUMBER, ADDRESS, ARGUMENTS)
    CAPACITY_file_path          bytes of the text
    file_operation_create       value of the enum

The lineage map's value, which user space also writes when it seeds the map, is laid out here for
both sides too: `lineage_text` for C, `lineage_dtype` for numpy.
"""

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from content import flooders
from content.definitions import Field, Kind, Rung, TemplateType
from content.record import ADDRESS_BYTES, Slot, record_size, slots
from probes.counters import ANY_TEMPLATE_TYPE, CounterSlot
from probes.ring import stride

MARKER = "LAYOUT:"
"""Starts the message of every assertion, so that the loader can tell it from other diagnostics."""

C_TYPES = {"u2": "u16", "u4": "u32", "u8": "u64", "i8": "s64"}

KIND_NAMES = {
    Kind.UNSIGNED: "NUMBER",
    Kind.SIGNED: "NUMBER",
    Kind.ENUM: "NUMBER",
    Kind.ADDRESS: "ADDRESS",
    Kind.TEXT: "TEXT",
}


TRUNCATED = 1 << 32
"""What a remembered text's length carries where the text was longer (common.bpf.h has it too)."""

EXTRA = {
    Rung.BPF_BTF: (("start_boottime", "u8"), ("arguments", "u8")),
    Rung.BPF_TRACEPOINT: (("parent_pid", "u8"), ("parent_start_time", "u8"), ("threads", "i8")),
}
"""What a rung remembers besides. start_boottime: the exact moment, 0 where only ticks are known.
arguments: how many the exec had that was seen, for the record of that exec. threads: how many there
are, 0 where nobody has counted."""

IMAGES = ("image", "parent_image")
COMMAND_LINES = ("command_line", "parent_command_line")
FULL_COMMAND_LINE = ("process", "command_line")
"""Read from the process itself, hence not remembered at full length."""


def header_text(
    template_types: Sequence[TemplateType],
    counted: Sequence[CounterSlot],
    rung: Rung = Rung.BPF_BTF,
    wanted: Collection[str] | None = None,
) -> str:
    """The generated part of the BPF programs: types, lineage, places of loss counters.

    template_types: all that are defined; lineage and counters are the same for every load. wanted:
    the names of those whose records are needed, all by default: a compiler takes its time to read.
    """
    parts = [
        type_text(template_type)
        for template_type in template_types
        if wanted is None or template_type.name in wanted
    ]
    lineage = lineage_text(template_types, rung)
    return "".join((*parts, lineage, _counters(template_types, counted)))


def _counters(template_types: Sequence[TemplateType], counted: Sequence[CounterSlot]) -> str:
    names = {template_type.number: f"_{template_type.name}" for template_type in template_types}
    names[ANY_TEMPLATE_TYPE] = ""
    lines = [
        f"#define COUNTER_{slot.cause}{names[slot.template_type]} {index}"
        for index, slot in enumerate(counted)
    ]
    named = flooders.places([kind.number for kind in template_types])
    lines += [
        f"#define FLOODERS{names[number]} {len(counted) + place * flooders.PLACE_WORDS}"
        for place, number in enumerate(named)
        if number not in named[:place]
    ]
    return "\n".join(lines) + "\n"


def lineage_dtype(
    template_types: Iterable[TemplateType], rung: Rung = Rung.BPF_BTF
) -> np.dtype[np.void]:
    """What is remembered of a process: one value of the lineage map.

    `…_taken` is the length of the text with TRUNCATED where it was longer, negative where it
    could not be read. Where the kernel can't be asked for the parent, it is remembered as well.
    """
    types = tuple(template_types)
    return np.dtype(
        [
            ("start_time", "u8"),
            *EXTRA[rung],
            ("image_taken", "i8"),
            ("command_line_taken", "i8"),
            ("image", "u1", _largest_capacity(types, IMAGES)),
            ("command_line", "u1", _largest_capacity(types, COMMAND_LINES)),
        ]
    )


def lineage_text(template_types: Iterable[TemplateType], rung: Rung = Rung.BPF_BTF) -> str:
    """The same as C, with its capacities."""
    value = lineage_dtype(template_types, rung)
    image, command_line = value["image"].itemsize, value["command_line"].itemsize
    extra = "".join(f"    {C_TYPES[kind]} {name};\n" for name, kind in EXTRA[rung])
    return (
        f"#define LINEAGE_IMAGE_BYTES {image}\n"
        f"#define LINEAGE_COMMAND_LINE_BYTES {command_line}\n"
        f"struct lineage {{\n    u64 start_time;\n{extra}    s64 image_taken;\n"
        "    s64 command_line_taken;\n    u8 image[LINEAGE_IMAGE_BYTES];\n"
        "    u8 command_line[LINEAGE_COMMAND_LINE_BYTES];\n};\n"
        f"_Static_assert(sizeof(struct lineage) == {value.itemsize},"
        f' "{MARKER} size of lineage is not {value.itemsize} bytes");\n'
    )


def _largest_capacity(template_types: Iterable[TemplateType], names: Sequence[str]) -> int:
    return max(
        field.capacity
        for template_type in template_types
        for field in template_type.fields
        if field.name in names and (template_type.name, field.name) != FULL_COMMAND_LINE
    )


def type_text(template_type: TemplateType) -> str:
    """Struct, assertions and constants of one Template Type."""
    lines = [*_constants(template_type), *_structure(template_type), *_assertions(template_type)]
    for field in template_type.fields:
        lines += _field_constants(template_type.name, field)
    return "\n".join(lines) + "\n"


def _constants(template_type: TemplateType) -> list[str]:
    name = template_type.name
    return [
        f"#define TEMPLATE_TYPE_{name} {template_type.number}",
        f"#define SCHEMA_MAJOR_{name} {template_type.version.major}",
        f"#define SCHEMA_MINOR_{name} {template_type.version.minor}",
        f"#define ARITY_{name} {template_type.arity}",
        f"#define STRIDE_{name} {stride(template_type)}",
    ]


def _structure(template_type: TemplateType) -> list[str]:
    members = [f"    {_declaration(slot)};" for slot in slots(template_type)]
    return [f"struct {template_type.name}_record {{", *members, "};"]


def _declaration(slot: Slot) -> str:
    if slot.code in C_TYPES:
        return f"{C_TYPES[slot.code]} {slot.name}"
    return f"u8 {slot.name}[{slot.size}]"


def _assertions(template_type: TemplateType) -> list[str]:
    name = template_type.name
    structure = f"struct {name}_record"
    checks = [(f"sizeof({structure})", record_size(template_type), f"size of {name}")]
    for slot in slots(template_type):
        place = f"{name}.{slot.name}"
        checks += [
            (f"__builtin_offsetof({structure}, {slot.name})", slot.offset, f"offset of {place}"),
            (f"sizeof((({structure} *)0)->{slot.name})", slot.size, f"size of {place}"),
        ]
    return [
        f'_Static_assert({found} == {expected}, "{MARKER} {what} is not {expected} bytes");'
        for found, expected, what in checks
    ]


def _field_constants(name: str, field: Field) -> list[str]:
    place = f"{name}_{field.name}"
    lines = [
        f"#define PRESENT_{place} (1ULL << {field.number})",
        f"#define KIND_{_kind_name(field)}_{place} 1",
    ]
    if field.kind is Kind.TEXT:
        lines.append(f"#define CAPACITY_{place} {field.capacity}")
    if field.kind is Kind.ADDRESS:
        lines.append(f"#define CAPACITY_{place} {ADDRESS_BYTES}")
    lines += [f"#define {place}_{value} {number}" for value, number in field.values.items()]
    return lines


def _kind_name(field: Field) -> str:
    return "ARGUMENTS" if field.arguments else KIND_NAMES[field.kind]
