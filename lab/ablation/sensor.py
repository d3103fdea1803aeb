"""The sensor of a simulated host: real events of a kind, the real interpreters.

Two interpreters can be in it: the unchecked one of 2024 (lab.unchecked), which crashes its process,
and the product's, which compares arities before it matches anything. Either is given records that
have the inputs which the sensor supplies, whatever their author believed: that was the fault.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from content.channel_file import ChannelFile
from content.definitions import TemplateType
from content.interpreter import Engine, Evaluation, Interpreter
from content.problems import ContentError
from content.record import Records, decode, encode
from lab.ablation.apart import Crash, apart
from lab.ablation.history import RUNG, sensors_type, supplied
from lab.unchecked.engine import UncheckedEngine

EVENTS_PER_HOST = 8
OPERATION, PATH = "operation", "path"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a host did with a Channel File. refused: reason; crash: the signal; else it ran."""

    refused: str = ""
    crash: int = 0


def engine(files: Sequence[ChannelFile], *, checked: bool) -> Engine:
    """The interpreter as this sensor was built; ContentError if it refuses the files."""
    if checked:
        return Interpreter(files, supplied(), note=lambda _row, _ordinal: None)
    return UncheckedEngine(files, supplied())


def behaviour(file: ChannelFile, host: int, *, checked: bool) -> Behaviour:
    """Load the file and evaluate the host's events with it, in a process of its own."""
    result = apart(lambda: _evaluate(file, host, checked=checked))
    return Behaviour(crash=result.signal) if isinstance(result, Crash) else result


def _evaluate(file: ChannelFile, host: int, *, checked: bool) -> Behaviour:
    try:
        interpreter = engine([file], checked=checked)
    except ContentError as error:
        return Behaviour(refused=str(error.problems[0].reason))
    interpreter.evaluate(sensors_type(), events(host))
    return Behaviour()


def events(host: int) -> Records:
    """What happens on a host: ordinary pipes and sockets, others on each host."""
    kind = sensors_type()
    numbers = {field.name: field.number for field in kind.fields}
    operations = sorted(kind.field(numbers[OPERATION]).values.values())
    rows = [
        encode(
            kind,
            {
                numbers[OPERATION]: operations[(host + number) % len(operations)],
                numbers[PATH]: b"/run/service-%d/%d" % (host, number),
            },
            rung=RUNG,
        )
        for number in range(EVENTS_PER_HOST)
    ]
    return np.concatenate(rows)


class SuppliedOnly:
    """An engine that is given records of the author's Definition as the sensor supplies them.

    Tests and samples are written against the author's 21 fields; what reaches the interpreter has
    the sensor's 20.
    """

    def __init__(self, inner: Engine) -> None:
        self._inner = inner

    def evaluate(self, template_type: TemplateType, records: Records) -> Evaluation:
        """Evaluate them without the inputs that nobody supplies."""
        ours = sensors_type()
        if template_type.number != ours.number or not len(records):
            return self._inner.evaluate(template_type, records)
        rows = [records[row : row + 1] for row in range(len(records))]
        return self._inner.evaluate(
            ours, np.concatenate([_without_extra(template_type, row) for row in rows])
        )


def _without_extra(believed: TemplateType, record: Records) -> Records:
    ours = sensors_type()
    inputs: Mapping[int, Any] = decode(believed, record)
    return encode(
        ours, {number: value for number, value in inputs.items() if number <= ours.arity}, rung=RUNG
    )
