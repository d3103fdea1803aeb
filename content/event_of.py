"""An event that an author names: one of the instance's samples, a recorded one, or one written out.

its name                 a sample of the instance
FILE.npz:TYPE:ROW        an event of a recording, counted from 0, as `content test` shows it
{"image": "/bin/sh"}     inputs by field, as samples are written; JSON is fine
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from content.authoring import AuthoredInstance, read_inputs
from content.escape import safe
from content.model import AddressPrefix, Sample
from content.problems import SHOWN_CHARACTERS, ContentError, Problem
from content.reasons import Reason
from content.record import decode, number_range
from content.recorded_events_reader import load
from content.template_type import Kind, TemplateType

_RECORDED = re.compile(r"(?P<file>.+\.npz):(?P<type>\w+):(?P<row>[0-9]{1,12})", re.DOTALL)
WRITTEN_OUT = "event"
"""How an event that was written out is called in problems."""


def inputs_of(
    event: str, authored: AuthoredInstance, types: Mapping[int, TemplateType]
) -> Mapping[int, bytes | int]:
    """The inputs that `event` names, as `content.record.encode` takes them.

    ContentError where there is no such event or it can't be one of the instance's Template Type;
    OSError passes through.
    """
    if event.lstrip().startswith("{"):
        return _written(event, authored.template_type)
    if found := _RECORDED.fullmatch(event):
        return _recorded(Path(found["file"]), found["type"], int(found["row"]), authored, types)
    samples = {sample.name: sample for sample in authored.instance.samples}
    if event not in samples:
        expected = f"FILE.npz:TYPE:ROW, a JSON object, or one of {sorted(samples)}"
        _refuse(Reason.SAMPLE_MISSING, "samples", event, safe(expected), authored.file)
    return samples[event].record_inputs()


def _written(event: str, template_type: TemplateType) -> Mapping[int, bytes | int]:
    inputs = read_inputs(event.encode("utf-8", "surrogateescape"), WRITTEN_OUT, template_type)
    for number, value in inputs.items():
        field = template_type.field(number)
        if isinstance(value, AddressPrefix):
            if not value.is_single:
                expected = "one address, not a prefix"
                _refuse(Reason.VALUE_OUT_OF_RANGE, field.name, str(value), expected, WRITTEN_OUT)
        elif field.kind is not Kind.TEXT and isinstance(value, int):
            least, most = number_range(field.kind)
            if not least <= value <= most:
                expected = f"{least} to {most}"
                _refuse(Reason.VALUE_OUT_OF_RANGE, field.name, str(value), expected, WRITTEN_OUT)
    return Sample(WRITTEN_OUT, must_match=True, inputs=inputs).record_inputs()


def _recorded(
    path: Path, name: str, row: int, authored: AuthoredInstance, types: Mapping[int, TemplateType]
) -> Mapping[int, bytes | int]:
    wanted = authored.template_type
    if name != wanted.name:
        expected = f"{wanted.name}, which the instance is for"
        _refuse(Reason.UNKNOWN_TEMPLATE_TYPE, "event", name, expected, str(path))
    records = load(path, types).events.get(wanted.number)
    count = 0 if records is None else len(records)
    if records is None or row >= count:
        expected = f"a row below {count}, the number of {wanted.name} events"
        _refuse(Reason.VALUE_OUT_OF_RANGE, "event", f"row {row}", expected, str(path))
    return decode(wanted, records[row : row + 1])


def _refuse(reason: Reason, place: str, found: str, expected: str, file: str) -> NoReturn:
    raise ContentError([Problem(reason, place, safe(found, SHOWN_CHARACTERS), expected, file)])
