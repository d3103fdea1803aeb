"""Recorded events put through the Content Interpreter: what content would have made of them.

Every instance is counted with all others together, as a sensor evaluates them. Recorded events are
taken for ordinary ones, so an instance that matches many of them is noisy: it would bury what it
is meant to find. What matching costs is timed on batches of the size that a sensor takes; where
fewer events were recorded, they are repeated until there are so many.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from content.interpreter import Engine, Interpreter
from content.model import ChannelFile, TemplateInstance
from content.record import Records, decode
from content.recorded_events import Recording
from content.template_type import TemplateType

BATCH_EVENTS = 4096
EXAMPLES = 3
TIMED_PASSES = 5
TIMED_EVENTS = 4 * BATCH_EVENTS
TIMED_ALONE_INSTANCES = 200
"""Beyond so many, only all instances together are timed: each alone would take too long."""

_SHOWN_FIELDS = ("image", "command_line")


@dataclass(frozen=True, slots=True)
class NoiseLimits:
    """From when on an instance is noisy: more matches, or a larger share of the events.

    share_from_events: among fewer events a share says nothing.
    """

    matches: int = 100
    share: float = 0.001
    share_from_events: int = 1000

    def reason(self, matches: int, events: int) -> str:
        """Why that many matches are noise; empty where they are not."""
        share = matches / events if events else 0.0
        found = f"{matches:,} of {events:,} ordinary events ({share:.2%})"
        if matches > self.matches:
            return f"{found}, more than {self.matches:,}"
        if events >= self.share_from_events and share > self.share:
            return f"{found}, more than {self.share:.2%}"
        return ""


@dataclass(frozen=True, slots=True)
class Example:
    """A recorded event that an instance matched; row counts from 0 within its Template Type."""

    row: int
    time: datetime
    image: bytes
    command_line: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one instance.

    file: where it came from. events: recorded events of its Template Type. noisy: why it is, or
    empty. microseconds: per event, evaluated alone; None where that was not timed. fault: why it
    was skipped at run time, or empty. undecided: events that it might have matched after that.
    """

    file: str
    template_type: TemplateType
    instance: TemplateInstance
    events: int
    matches: int = 0
    examples: tuple[Example, ...] = ()
    noisy: str = ""
    microseconds: float | None = None
    fault: str = ""
    undecided: int = 0


@dataclass(frozen=True, slots=True)
class TypeCost:
    """What all instances of one Template Type cost together, in microseconds per event."""

    template_type: TemplateType
    events: int
    instances: int
    microseconds: float | None


@dataclass(frozen=True, slots=True)
class Replay:
    """Outcomes in the order of the content, costs by Template Type."""

    outcomes: tuple[Outcome, ...]
    costs: tuple[TypeCost, ...]


@dataclass(slots=True)
class _Tally:
    """What is known so far of one instance."""

    matches: int = 0
    examples: list[Example] = field(default_factory=list)
    fault: str = ""
    undecided: int = 0


Content = Sequence[tuple[ChannelFile, Sequence[str]]]
"""Channel Files, each with the file that each of its instances came from."""


def replay(
    content: Content,
    types: Mapping[int, TemplateType],
    recording: Recording,
    noise: NoiseLimits,
    clock: Callable[[], float] = time.perf_counter,
) -> Replay:
    """Evaluate valid content on everything that was recorded.

    clock: seconds, for timing. Raises ContentError for content that the Interpreter refuses.
    """
    engine = Interpreter([channel_file for channel_file, _ in content], types)
    tallies: dict[tuple[int, int], _Tally] = {}
    numbers = sorted({channel_file.template_type.number for channel_file, _ in content})
    for number in numbers:
        for batch in _batches(_of_type(recording, types[number])):
            _count(engine, types[number], recording, batch, tallies)
    costs = tuple(_type_cost(engine, types[one], recording, content, clock) for one in numbers)
    alone = sum(len(files) for _, files in content) <= TIMED_ALONE_INSTANCES
    outcomes = []
    for channel_file, files in content:
        template_type = types[channel_file.template_type.number]
        records = _of_type(recording, template_type)
        for instance, file in zip(channel_file.instances, files, strict=True):
            tally = tallies.get((id(channel_file), id(instance)), _Tally())
            outcome = Outcome(
                file,
                template_type,
                instance,
                events=len(records),
                matches=tally.matches,
                examples=tuple(tally.examples),
                noisy=noise.reason(tally.matches, len(records)),
                fault=tally.fault,
                undecided=tally.undecided,
            )
            if alone:
                single = Interpreter([replace(channel_file, instances=(instance,))], types)
                cost = _microseconds(single, template_type, records, clock)
                outcome = replace(outcome, microseconds=cost)
            outcomes.append(outcome)
    return Replay(tuple(outcomes), costs)


def _count(
    engine: Engine,
    template_type: TemplateType,
    recording: Recording,
    batch: tuple[int, Records],
    tallies: dict[tuple[int, int], _Tally],
) -> None:
    """Add what the instances make of one batch; matches are held by identity, ids may repeat."""
    first, records = batch
    evaluation = engine.evaluate(template_type, records)
    for match in evaluation.matches:
        tally = tallies.setdefault((id(match.channel_file), id(match.instance)), _Tally())
        tally.matches += 1
        if len(tally.examples) < EXAMPLES:
            record = records[match.row : match.row + 1]
            tally.examples.append(_example(template_type, recording, record, first + match.row))
    for fault in evaluation.faults:
        tally = tallies.setdefault((id(fault.channel_file), id(fault.instance)), _Tally())
        tally.fault = f"{fault.reason}: {fault.detail}"
    for left in evaluation.undecided:
        tally = tallies.setdefault((id(left.channel_file), id(left.instance)), _Tally())
        tally.undecided += left.rows


def _example(
    template_type: TemplateType, recording: Recording, record: Records, row: int
) -> Example:
    inputs = decode(template_type, record)
    by_name = {one.name: inputs.get(one.number) for one in template_type.fields}
    image, command_line = (by_name.get(name) for name in _SHOWN_FIELDS)
    return Example(
        row=row,
        time=recording.time_of(int(record["time_ns"][0])),
        image=image if isinstance(image, bytes) else b"",
        command_line=command_line if isinstance(command_line, bytes) else b"",
    )


def _type_cost(
    engine: Engine,
    template_type: TemplateType,
    recording: Recording,
    content: Content,
    clock: Callable[[], float],
) -> TypeCost:
    records = _of_type(recording, template_type)
    instances = sum(
        len(channel_file.instances)
        for channel_file, _ in content
        if channel_file.template_type.number == template_type.number
    )
    cost = _microseconds(engine, template_type, records, clock)
    return TypeCost(template_type, len(records), instances, cost)


def _microseconds(
    engine: Engine, template_type: TemplateType, records: Records, clock: Callable[[], float]
) -> float | None:
    """Median over the passes, per event; None where nothing was recorded."""
    if not len(records):
        return None
    timed = records[:TIMED_EVENTS]
    if len(timed) < BATCH_EVENTS:
        timed = timed[np.arange(BATCH_EVENTS) % len(timed)]
    passes = []
    for _ in range(TIMED_PASSES):
        began = clock()
        for start in range(0, len(timed), BATCH_EVENTS):
            engine.evaluate(template_type, timed[start : start + BATCH_EVENTS])
        passes.append((clock() - began) / len(timed) * 1e6)
    return statistics.median(passes)


def _of_type(recording: Recording, template_type: TemplateType) -> Records:
    """Recorded events of a Template Type; none where its rung did not see it."""
    empty: Records = np.empty(0, np.void)
    return recording.events.get(template_type.number, empty)


def _batches(records: Records) -> Iterator[tuple[int, Records]]:
    """Number of the first record, and the records, batch by batch."""
    for start in range(0, len(records), BATCH_EVENTS):
        yield start, records[start : start + BATCH_EVENTS]
