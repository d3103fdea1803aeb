"""Attach programs, and keep account of what each attachment is there for."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from probes.bcc_programs import attach, put_program
from probes.tracepoints import Placement, Point, TailCall, Tracepoint


@dataclass(slots=True)
class Attached:
    """Attachments so far, in order. By name: numbers of Template Types, maps that hold programs."""

    numbers: Mapping[str, int]
    maps: Mapping[str, int]
    descriptors: list[int] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)

    def attach(self, programs: Mapping[str, int], placements: Iterable[Placement]) -> None:
        """Attach these in order; ProbeError (ATTACH_FAILED) names what the kernel refused."""
        for placement in placements:
            self.descriptors.append(self._attach(programs, placement.point))
            self.placements.append(placement)

    def _attach(self, programs: Mapping[str, int], point: Point | TailCall) -> int:
        program = programs[point.function]
        if isinstance(point, TailCall):
            return put_program(program, point, self.maps[point.function])
        return attach(program, point)

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
    if isinstance(point, TailCall):
        point = point.caller
    if isinstance(point, Tracepoint):
        return f"tracepoint/{point.category}:{point.event}"
    return f"raw_tracepoint/{point.event}"
