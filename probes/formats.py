"""Where tracepoints have their arguments: read from tracefs, written as C.

The kernel describes each tracepoint in `events/CATEGORY/NAME/format`, one line for each argument
with its offset and size. `tracepoint_text` turns those that the programs use into a struct named
after the tracepoint, with padding where other arguments lie; what is not there, or has a size that
the programs don't expect, is a ProbeError that names it.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from probes.errors import ProbeError, ProbeReason
from probes.layout import MARKER

Place = tuple[int, int]
"""Offset and size of an argument, in bytes."""

ARGUMENTS: Mapping[str, Mapping[str, int]] = {
    "task/task_newtask": {"pid": 4, "clone_flags": 8},
    "sched/sched_process_exec": {"filename": 4},
}
"""What the programs read: tracepoint → argument → bytes."""

_LINE = re.compile(
    r"^\tfield:(?P<declaration>[^;]+);\s*offset:(?P<offset>\d+);\s*size:(?P<size>\d+);",
    re.MULTILINE,
)
_NAME = re.compile(r"(\w+)(?:\[\w*\])?$")
_C_TYPES = {4: "u32", 8: "u64"}


def parse_format(text: str) -> dict[str, Place]:
    """Name → place of every argument in the text of a `format` file."""
    places: dict[str, Place] = {}
    for line in _LINE.finditer(text):
        name = _NAME.search(line["declaration"].strip())
        if name:
            places[name[1]] = (int(line["offset"]), int(line["size"]))
    return places


def tracepoint_text(events: Path) -> str:
    """The structs of all tracepoints in ARGUMENTS, as the running kernel has them.

    events: tracefs' events folder. Raises ProbeError (TRACEPOINT_MISSING).
    """
    return "".join(
        _struct(tracepoint, wanted, parse_format(_read(events / tracepoint / "format")))
        for tracepoint, wanted in ARGUMENTS.items()
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        detail = f"{path}: {error.strerror}"
        raise ProbeError(ProbeReason.TRACEPOINT_MISSING, detail) from error


def _struct(tracepoint: str, wanted: Mapping[str, int], places: Mapping[str, Place]) -> str:
    name = tracepoint.rpartition("/")[2]
    members, asserted, end = [], [], 0
    for argument in sorted(wanted, key=lambda one: places.get(one, (0, 0))):
        offset, size = places.get(argument, (0, 0))
        if size != wanted[argument]:
            found = f"has {size} bytes, expected {wanted[argument]}" if size else "is missing"
            detail = f"tracepoint {tracepoint}: argument {argument} {found}"
            raise ProbeError(ProbeReason.TRACEPOINT_MISSING, detail)
        if offset > end:
            members.append(f"    u8 before_{argument}[{offset - end}];")
        members.append(f"    {_C_TYPES[size]} {argument};")
        asserted.append(
            f"_Static_assert(__builtin_offsetof(struct {name}, {argument}) == {offset},"
            f' "{MARKER} {name}.{argument} is not at {offset}");'
        )
        end = offset + size
    return "\n".join((f"struct {name} {{", *members, "};", *asserted)) + "\n"
