"""Maps that are there before anything is compiled: programs are compiled with their descriptors.

    loss_counters   what could not be reported, and who was refused; memory-mappable
    lineage         image and command line of every process
    prevention      paths that the kernel prevents, in rung bpf_btf; memory-mappable
    pending         system calls under way; of one load, where it watches any
    …               one program that others call, named like it; of one load

All but the last two belong to a collection, whoever joins it: `shared` names what a collector hands
over beside the counters, and is given when it joins. What is given is checked, because a program
that takes one map for another would be refused by the verifier at best.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from content import flooders, prevention_table
from content.definitions import Rung, TemplateType
from probes import bcc_programs
from probes.counters import CounterSlot
from probes.errors import ProbeError, ProbeReason
from probes.layout import lineage_dtype
from probes.limits import LIMITS
from probes.program import CALL_BYTES

COUNTERS = "loss_counters"
LINEAGE = "lineage"
PENDING = "pending"
PREVENTION = prevention_table.MAP_NAME
PREVENTING = (Rung.BPF_BTF,)
"""Rungs in which the kernel prevents."""

HASH = 1
ARRAY = 2
PROGRAM_ARRAY = 3
MEMORY_MAPPABLE = 1 << 10


@dataclass(frozen=True, slots=True)
class Shape:
    """What a map is, in the kernel's words (/proc/self/fdinfo)."""

    map_type: int
    key_size: int
    value_size: int
    max_entries: int
    map_flags: int


def shapes(
    template_types: Sequence[TemplateType], counted: Sequence[CounterSlot], rung: Rung
) -> dict[str, Shape]:
    """The maps of a collection, by name. template_types: all that are defined."""
    value_bytes = lineage_dtype(template_types, rung).itemsize
    named = flooders.places([kind.number for kind in template_types])
    words = len(counted) + len(named) * flooders.PLACE_WORDS
    found = {
        COUNTERS: Shape(ARRAY, 4, 8, words, MEMORY_MAPPABLE),
        LINEAGE: Shape(HASH, 4, value_bytes, LIMITS.lineage_entries, 0),
    }
    if rung in PREVENTING:
        element, entries = prevention_table.SLOT.size, prevention_table.ELEMENTS
        found[PREVENTION] = Shape(ARRAY, 4, element, entries, MEMORY_MAPPABLE)
    return found


def shared(rung: Rung) -> tuple[str, ...]:
    """What belongs to a collection beside the counters."""
    return (LINEAGE, PREVENTION) if rung in PREVENTING else (LINEAGE,)


def pending_shape() -> Shape:
    """The map of a load that watches system calls."""
    return Shape(HASH, 8, CALL_BYTES, LIMITS.pending_calls, 0)


def program_shape() -> Shape:
    """The map of a program that another calls."""
    return Shape(PROGRAM_ARRAY, 4, 4, 1, 0)


def create(name: str, shape: Shape) -> int:
    """Descriptor of a new map."""
    return bcc_programs.create_map(
        shape.map_type,
        name,
        key_bytes=shape.key_size,
        value_bytes=shape.value_size,
        entries=shape.max_entries,
        flags=shape.map_flags,
    )


def named(names: Sequence[object], descriptors: Sequence[int], rung: Rung) -> dict[str, int]:
    """The maps that a joining collector is given: descriptors of counters, then of these names.

    Raises ProbeError (SHARED_MAPS_UNEXPECTED) unless the names are those of `shared`, each once,
    and every one has its descriptor.
    """
    given, expected = [str(name) for name in names], shared(rung)
    if sorted(given) != sorted(expected) or len(descriptors) != len(given) + 1:
        detail = (
            f"{len(descriptors)} descriptors for {COUNTERS} and {given!r:.200},"
            f" expected {COUNTERS} and {list(expected)}"
        )
        raise ProbeError(ProbeReason.SHARED_MAPS_UNEXPECTED, detail)
    return dict(zip((COUNTERS, *given), descriptors, strict=True))


def check(given: Mapping[str, int], expected: Mapping[str, Shape]) -> None:
    """ProbeError (SHARED_MAP_MISMATCH) names the map, what it is and what was expected."""
    for name, shape in expected.items():
        found = shape_of(given[name])
        if found != shape:
            detail = f"map {name} is {found or 'no BPF map'}, expected {shape}"
            raise ProbeError(ProbeReason.SHARED_MAP_MISMATCH, detail)


def shape_of(descriptor: int) -> Shape | None:
    """What a descriptor's map is; None if it is no map."""
    text = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    try:
        return Shape(*(int(facts[name], 0) for name in Shape.__slots__))
    except KeyError:
        return None


def close(maps: Mapping[str, int]) -> None:
    """Give descriptors up."""
    for descriptor in maps.values():
        os.close(descriptor)
