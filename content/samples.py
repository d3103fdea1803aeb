"""Samples: the events that authors write beside an instance, put through the real engine.

Each sample becomes a record, exactly as a probe would supply it, and is evaluated together with
the others of its Channel File. A must-match sample must be matched by its instance, a
must-not-match sample must not be; what other instances make of it doesn't count. `explain` says
criterion by criterion why.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import islice

import numpy as np

from content import vital_programs
from content.escape import safe
from content.interpreter import Engine, Interpreter
from content.matching.criteria import holds, judge_of
from content.model import ChannelFile, Criterion, Sample, TemplateInstance
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.record import decode, encode
from content.template_type import Field, Kind, Rung, TemplateType

EngineFactory = Callable[[Sequence[ChannelFile], Mapping[int, TemplateType]], Engine]

BATCH_SAMPLES = 512
"""Samples per batch of records, so that memory stays within a few MiB."""

SHOWN_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one criterion judged one event; value is what content saw, None where it was absent."""

    clause: int
    criterion: int
    field: Field
    held: bool
    value: bytes | int | None


@dataclass(frozen=True, slots=True)
class PlacedSample:
    """A sample and where it stands: number of its instance, place for problems."""

    instance: int
    place: str
    sample: Sample


def check(
    channel_file: ChannelFile,
    types: Mapping[int, TemplateType],
    engine_factory: EngineFactory = Interpreter,
) -> list[Problem]:
    """Problems of all samples: those that got the wrong answer, and faults they brought about.

    So is an instance a problem that would prevent what hosts live by (`content.vital_programs`).

    Content that the engine refuses to load comes back as its problems. The file must be valid
    (`content.validator`): samples with inputs that no record can hold raise what `encode` raises.
    """
    try:
        engine = engine_factory([channel_file], types)
    except ContentError as error:
        return list(error.problems)
    template_type = types[channel_file.template_type.number]
    problems: list[Problem] = []
    samples = _samples(channel_file)
    while batch := list(islice(samples, BATCH_SAMPLES)):
        problems += _check_batch(channel_file, template_type, engine, batch)
    return [*problems, *vital_programs.check(channel_file, template_type, engine)]


def explain(
    instance: TemplateInstance, template_type: TemplateType, inputs: Mapping[int, bytes | int]
) -> list[Explanation]:
    """How every criterion of an instance judges an event, in the order of the content.

    inputs: by field number, as `content.record.encode` takes them.
    """
    seen = decode(template_type, encode(template_type, inputs, rung=Rung.BPF_BTF))
    return [
        _explain(criterion, template_type, (clause_number, number), seen)
        for clause_number, clause in enumerate(instance.clauses)
        for number, criterion in enumerate(clause.criteria)
    ]


def _explain(
    criterion: Criterion,
    template_type: TemplateType,
    place: tuple[int, int],
    seen: Mapping[int, bytes | int],
) -> Explanation:
    field = template_type.field(criterion.field)
    value = seen.get(criterion.field)
    held = holds(criterion, judge_of(criterion, field), value)
    return Explanation(*place, field, held, value)


def _samples(channel_file: ChannelFile) -> Iterator[PlacedSample]:
    for number, instance in enumerate(channel_file.instances):
        for index, sample in enumerate(instance.samples):
            yield PlacedSample(number, f"instances[{number}].samples[{index}]", sample)


def _check_batch(
    channel_file: ChannelFile,
    template_type: TemplateType,
    engine: Engine,
    batch: Sequence[PlacedSample],
) -> list[Problem]:
    records = np.concatenate(
        [encode(template_type, one.sample.record_inputs(), rung=Rung.BPF_BTF) for one in batch]
    )
    evaluation = engine.evaluate(template_type, records)
    matched = {(match.row, match.instance.id) for match in evaluation.matches}
    problems = [
        Problem(fault.reason, batch[fault.row].place, fault.detail, "no fault")
        for fault in evaluation.faults
    ]
    for row, one in enumerate(batch):
        instance = channel_file.instances[one.instance]
        if ((row, instance.id) in matched) is not one.sample.must_match:
            problems.append(_failed(one, instance, template_type))
    return problems


def _failed(one: PlacedSample, instance: TemplateInstance, template_type: TemplateType) -> Problem:
    """What a sample that got the wrong answer has to tell its author."""
    explained = explain(instance, template_type, one.sample.record_inputs())
    name = safe(one.sample.name, SHOWN_CHARACTERS)
    if one.sample.must_match:
        found = f"sample '{name}' is not matched: {_why_not(explained)}"
        return Problem(Reason.SAMPLE_FAILED, one.place, found, "a match")
    found = f"sample '{name}' is matched by {_why(explained)}"
    return Problem(Reason.SAMPLE_FAILED, one.place, found, "no match")


def _why_not(explained: Sequence[Explanation]) -> str:
    """The criteria that failed in the clause that came closest."""
    clauses = sorted({one.clause for one in explained})
    failed = {
        clause: [one for one in explained if one.clause == clause and not one.held]
        for clause in clauses
    }
    closest = min(clauses, key=lambda clause: len(failed[clause]))
    reasons = [
        f"clauses[{one.clause}].criteria[{one.criterion}] fails on {one.field.name} = "
        f"{shown_value(one)}"
        for one in failed[closest]
    ]
    return "; ".join(reasons) or "every criterion holds, yet the engine did not match"


def _why(explained: Sequence[Explanation]) -> str:
    """The first clause of which every criterion holds."""
    failed = {one.clause for one in explained if not one.held}
    held = sorted({one.clause for one in explained} - failed)
    return f"clauses[{held[0]}]" if held else "no clause of its own, yet the engine matched"


def shown_value(one: Explanation) -> str:
    """What content saw, escaped, cut and readable."""
    if one.value is None:
        return "(absent)"
    if isinstance(one.value, int):
        names = {number: name for name, number in one.field.values.items()}
        return names.get(one.value, str(one.value))
    if one.field.kind is Kind.ADDRESS:
        return str(ip_address(one.value))
    return f"'{safe(one.value, SHOWN_CHARACTERS)}'"
