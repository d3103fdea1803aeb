"""Attach programs, and keep account of what each attachment is there for."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from probes.bcc_programs import attach
from probes.tracepoints import Placement, RawTracepoint


@dataclass(slots=True)
class Attached:
    """Attachments so far, in order. numbers: of Template Types, by name."""

    numbers: Mapping[str, int]
    descriptors: list[int] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)

    def attach(self, programs: Mapping[str, int], placements: Iterable[Placement]) -> None:
        """Attach these in order; ProbeError (ATTACH_FAILED) names what the kernel refused."""
        for placement in placements:
            point = placement.point
            self.descriptors.append(attach(programs[point.function], point))
            self.placements.append(placement)

    @property
    def names(self) -> tuple[str, ...]:
        """Where each of them is attached."""
        return tuple(_name(placement) for placement in self.placements)

    def serves(self, programs: Iterable[str]) -> tuple[tuple[int, ...], ...]:
        """The Template Types that each attachment, then each of these programs is there for."""
        by_program: dict[str, set[int]] = {}
        for placement in self.placements:
            by_program.setdefault(placement.point.function, set()).update(self._types(placement))
        return (
            *(self._types(placement) for placement in self.placements),
            *(tuple(sorted(by_program[name])) for name in programs),
        )

    def detach(self) -> None:
        """Undo everything."""
        while self.descriptors:
            os.close(self.descriptors.pop())

    def _types(self, placement: Placement) -> tuple[int, ...]:
        return tuple(sorted(self.numbers[name] for name in placement.serves))


def _name(placement: Placement) -> str:
    point = placement.point
    if isinstance(point, RawTracepoint):
        return f"raw_tracepoint/{point.event}"
    return f"tracepoint/{point.category}:{point.event}"
