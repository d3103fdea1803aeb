"""From a match to a detection on the wire, and to a verdict for the supervisor. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bulkhead.v1 import channel_file_pb2, report_pb2
from content.channel_file import Disposition
from content.definitions import TemplateType
from content.interpreter import Match
from content.record import decode
from content.wire import value_to_proto

Records = np.ndarray[tuple[int], np.dtype[np.void]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a batch of events came from.

    epoch: names the ring, so that ids stay unique over restarts of collection.
    first: sequence number of row 0, in records.
    boot_to_unix_ns: what to add to a boot-time clock to get Unix time.
    prevents: whether the host's policy lets the sensor prevent anything.
    """

    epoch: str
    first: int
    boot_to_unix_ns: int
    prevents: bool = True


@dataclass(frozen=True, slots=True)
class Frame:
    """A unit of output: what was found in the events up to and including `last_row`.

    complete: False where more detections of `last_row` follow in the next frame, so that this one
    must not move the position past it.
    """

    last_row: int
    complete: bool
    payload: bytes
    detections: int
    verdicts: tuple[Mapping[str, int | str], ...]


def detection(
    match: Match, template_type: TemplateType, records: Records, source: Source
) -> report_pb2.Detection:
    """The report of one match, with every input that was supplied."""
    record = records[match.row : match.row + 1]
    sequence = source.first + match.row
    instance = match.instance
    inputs = decode(template_type, record)
    return report_pb2.Detection(
        id=f"{source.epoch}-{template_type.number}-{sequence}-{instance.id}",
        time_unix_ns=int(record["time_ns"][0]) + source.boot_to_unix_ns,
        template_type=template_type.number,
        sequence=sequence,
        instance_id=instance.id,
        channel_file_version=match.channel_file.version,
        disposition=channel_file_pb2.Disposition.ValueType(instance.disposition),
        severity=channel_file_pb2.Severity.ValueType(instance.severity),
        title=instance.title,
        attack_techniques=instance.attack_techniques,
        rung=report_pb2.Rung.ValueType(int(record["rung"][0])),
        inputs=[
            channel_file_pb2.FieldInput(
                field=number, value=value_to_proto(template_type.field(number), value)
            )
            for number, value in inputs.items()
        ],
        truncated_fields=_bits(int(record["truncated"][0])),
        prevention=prevention(match, template_type, records, source),
    )


def prevention(
    match: Match, template_type: TemplateType, records: Records, source: Source
) -> report_pb2.Prevention.ValueType:
    """What is done about the process, at this instance's wish."""
    if match.instance.disposition is not Disposition.PREVENT:
        return report_pb2.PREVENTION_UNSPECIFIED
    record = records[match.row]
    if _is(template_type, record, "prevention", "kernel"):
        return report_pb2.PREVENTION_KERNEL
    if _is(template_type, record, "observed", "already_running"):
        return report_pb2.PREVENTION_ALREADY_RUNNING
    return report_pb2.PREVENTION_VERDICT if source.prevents else report_pb2.PREVENTION_OFF


def _is(template_type: TemplateType, record: np.void, name: str, value: str) -> bool:
    """Whether an enum field is there, and has a value."""
    field = next((one for one in template_type.fields if one.name == name), None)
    known = field is not None and int(record["present"]) >> field.number & 1
    return field is not None and bool(known) and record[name] == field.values[value]


def verdict(
    match: Match, template_type: TemplateType, records: Records, first: int
) -> Mapping[str, int | str]:
    """Who is to be stopped: pid and start time, which the supervisor looks up in the event itself.

    first: sequence number of row 0.

    A start time of 0 says that the rung does not know it; what lies in the record then is not ours.
    """
    record = records[match.row]
    start_time = next(field for field in template_type.fields if field.name == "start_time")
    known = int(record["present"]) >> start_time.number & 1
    return {
        "pid": int(record["pid"]),
        "start_time": int(record["start_time"]) if known else 0,
        "sequence": first + match.row,
        "instance": match.instance.id,
    }


def frames(
    matches: Sequence[Match],
    template_type: TemplateType,
    records: Records,
    source: Source,
    payload_limit: int,
) -> Iterator[Frame]:
    """Pack the matches of a batch, in row order, into frames below a size in bytes."""
    batch = report_pb2.DetectionBatch()
    verdicts: list[Mapping[str, int | str]] = []
    size, last_row = 0, 0
    for match in sorted(matches, key=lambda match: match.row):
        found = detection(match, template_type, records, source)
        added = found.ByteSize() + 8
        if batch.detections and size + added > payload_limit:
            yield _frame(batch, verdicts, last_row, complete=match.row != last_row)
            batch, verdicts, size = report_pb2.DetectionBatch(), [], 0
        batch.detections.append(found)
        if found.prevention == report_pb2.PREVENTION_VERDICT:
            verdicts.append(verdict(match, template_type, records, source.first))
        size, last_row = size + added, match.row
    if batch.detections:
        yield _frame(batch, verdicts, last_row, complete=True)


def _frame(
    batch: report_pb2.DetectionBatch,
    verdicts: list[Mapping[str, int | str]],
    last_row: int,
    *,
    complete: bool,
) -> Frame:
    return Frame(
        last_row, complete, batch.SerializeToString(), len(batch.detections), tuple(verdicts)
    )


def _bits(mask: int) -> list[int]:
    return [number for number in range(64) if mask >> number & 1]
