"""The trial of a Channel File on this host, in the sandbox, before it may see its first event.

    1. strict load of the payload (content.channel_file)
    2. validation against what this sensor supplies on the rung in use (content.validator)
    3. generated cases for every field and operator of the Template Type, and the file's own
       must-match and must-not-match samples, through the engine that will run it
    4. a shadow run over real events that are still in the ring, within a time budget; what it
       finds is thrown away. An instance of the file that breaks a check or its work budget there
       refuses the file

Each step notes its phase in the attribution record: if this process dies, the supervisor knows
where. A step that finds problems ends the trial.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.attribution import Attribution, Phase
from agent.evaluator.limits import LIMITS
from agent.evaluator.loop import Cursor
from content import interface_cases, samples
from content.channel_file import ChannelFile
from content.definitions import TemplateType
from content.interpreter import Engine, InstanceFault
from content.problems import Problem
from content.reasons import Reason
from content.supply import Supply
from content.validator import validate

EngineFactory = Callable[[Sequence[ChannelFile], Mapping[int, TemplateType]], Engine]


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial needs besides the file.

    lenient: leaves out validation and samples. The laboratory sets it to rebuild the sensor of
    2024; the product never does.
    """

    types: Mapping[int, TemplateType]
    supply: Supply
    attribution: Attribution
    lenient: bool = False

    def served(self, channel_file: ChannelFile) -> list[Problem]:
        """Why a file that passed its trial long ago can't be served now: another rung or release.

        A criterion on an input that nobody fills in would be silently dead.
        """
        return [] if self.lenient else validate(channel_file, self.supply, self.types)

    def check(
        self,
        channel_file: ChannelFile,
        active_version: int,
        factory: EngineFactory,
        *,
        kept: ChannelFile | None = None,
    ) -> list[Problem]:
        """Steps 2 and 3: all problems of the first step that finds any.

        kept: the same without instances in quarantine, whose samples are not run.
        """
        if self.lenient:
            return []
        problems = validate(channel_file, self.supply, self.types, active_version=active_version)
        if problems:
            return problems
        self.attribution.phase(Phase.SAMPLES)
        template_type = self.types[channel_file.template_type.number]
        problems = interface_cases.check(template_type, factory)
        return problems or samples.check(kept or channel_file, self.types, factory)

    def shadow(
        self, engine: Engine, cursors: Iterable[Cursor]
    ) -> tuple[list[Problem], list[InstanceFault]]:
        """Step 4, on the newest events that each ring still holds.

        Problems of all files together, and instances that the engine skips from now on.
        """
        faults: list[InstanceFault] = []
        if self.lenient:
            return [], faults
        events, seconds = 0, 0.0
        for cursor in cursors:
            records = _newest(cursor)
            if not len(records):
                continue
            number = cursor.template_type.number
            self.attribution.batch(number, cursor.position, len(records), Phase.SHADOW)
            # Of the processor: a host that is busy with other things says nothing about content.
            started = time.thread_time()
            faults += engine.evaluate(cursor.template_type, records).faults
            seconds += time.thread_time() - started
            events += len(records)
        return _over_budget(events, seconds), faults


def refused(fault: InstanceFault) -> Problem:
    """Why a file is refused of which the engine skips an instance."""
    index = fault.channel_file.instances.index(fault.instance)
    expected = "an instance that keeps to its checks and budget"
    return Problem(fault.reason, f"instances[{index}]", fault.detail, expected)


def _newest(cursor: Cursor) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """A copy of the newest events, or none where the kernel wrote over them meanwhile."""
    ring = cursor.ring
    behind = LIMITS.shadow_records * ring.stride
    held = ring.size // ring.stride // 2 * ring.stride
    newest = ring.producer_position
    start = max(0, newest - min(behind, held))
    records = ring.read(start, LIMITS.shadow_records).copy()
    overwritten = ring.producer_position - start > ring.size
    return records[:0] if overwritten else records


def _over_budget(events: int, seconds: float) -> list[Problem]:
    # A handful of events says nothing: fixed costs of a batch would be counted as theirs.
    if events < LIMITS.batch_records // 16:
        return []
    each = seconds * 1e6 / events
    if each <= LIMITS.shadow_budget_microseconds_per_event:
        return []
    budget = LIMITS.shadow_budget_microseconds_per_event
    return [
        Problem(
            reason=Reason.LIMIT_EXCEEDED,
            place="shadow run",
            found=f"{each:.0f} CPU µs per event over {events} events",
            expected=f"at most {budget:.0f} µs",
        )
    ]
