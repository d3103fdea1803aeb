"""What a load consists of: decided before anything is compiled, from what is wanted and is there.

One part for each compiler; where every program is attached, and for whom; what this kernel lacks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from content.definitions import Rung, TemplateType
from probes import program, tracepoints
from probes.bcc_programs import kind_at
from probes.compiling import Order
from probes.limits import LIMITS
from probes.program import Part, Surroundings
from probes.supply import check_supply
from probes.tracepoints import Placement, TailCall


@dataclass(frozen=True, slots=True)
class Plan:
    """A load. chosen: the Template Types wanted. lineage: empty for one that joins."""

    rung: Rung
    chosen: tuple[TemplateType, ...]
    parts: tuple[Part, ...]
    lineage: tuple[Placement, ...]
    placements: tuple[Placement, ...]
    missing: tuple[str, ...]

    @property
    def watches_calls(self) -> bool:
        """Whether system calls under way are remembered."""
        return any(part.forgets for part in self.parts)

    @property
    def called(self) -> tuple[TailCall, ...]:
        """Programs that are called by those before them, in order."""
        points = (placement.point for placement in self.placements)
        return tuple(point for point in points if isinstance(point, TailCall))

    def orders(self, around: Surroundings) -> list[Order]:
        """What each compiler has to do."""
        return [
            Order(
                program.program_text(part, around),
                {
                    placement.point.function: kind_at(placement.point)
                    for placement in (*self.lineage, *self.placements)
                    if part is self._home(placement)
                },
                tuple(f"{name}_ring" for name in part.ring_bytes),
            )
            for part in self.parts
        ]

    def _home(self, placement: Placement) -> Part:
        """The part that has a program: the first, if it serves several types or lineage."""
        if len(placement.serves) == 1 and placement.point != tracepoints.FORGET:
            return next(part for part in self.parts if placement.serves[0] in part.ring_bytes)
        return self.parts[0]


@dataclass(frozen=True, slots=True)
class Host:
    """Where it is loaded.

    events: the events folder of tracefs. processors: that may compile at the same time.
    reads_registers: whether programs can read those of a call (tracepoints.ENTRY_SPARED).
    """

    events: Path
    processors: int
    reads_registers: bool = False


def plan(
    template_types: Sequence[TemplateType],
    ring_bytes: Mapping[int, int],
    rung: Rung,
    host: Host,
    *,
    keeps_lineage: bool,
) -> Plan:
    """Decide; ProbeError (SUPPLY_MISMATCH) if integration code and Definitions differ."""
    chosen = tuple(kind for kind in template_types if kind.number in ring_bytes)
    wanted = {kind.name: ring_bytes[kind.number] for kind in chosen}
    calls = list(tracepoints.wanted_calls(wanted))
    known = [call for call in calls if tracepoints.is_known(host.events, call)]
    compilers = min(host.processors, 1 + len(wanted) // LIMITS.types_per_compiler)
    parts = program.parts(wanted, rung, compilers, keeps_lineage=keeps_lineage)
    check_supply(chosen, [text for part in parts for text in program.sources(part, rung)], rung)
    lineage = tracepoints.LINEAGE[rung] if keeps_lineage else ()
    return Plan(
        rung=rung,
        chosen=chosen,
        parts=parts,
        lineage=tuple(Placement(point, ()) for point in lineage),
        placements=tuple(
            tracepoints.placements(
                wanted,
                known,
                rung,
                reads_registers=host.reads_registers,
                keeps_lineage=keeps_lineage,
            )
        ),
        missing=tuple(dict.fromkeys(call.name for call in calls if call not in known)),
    )
