"""Where it stays within its inputs, the unchecked interpreter says what the real one says."""

import ctypes
import struct
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from content.channel_file import ChannelFile, load
from content.definitions import load_definitions
from content.interpreter import Engine, Interpreter
from content.model import Clause, Criterion, Operator, Value
from content.record import Records, encode
from content.template_type import Rung
from lab import july19
from lab.unchecked.engine import UncheckedEngine
from tests import needs
from tests.unit.content import event_strategies

IPC_NAME = "ipc"
AS_IPC = replace(event_strategies.EVERY_KIND, name=IPC_NAME)
TYPES = load_definitions()
IPC = next(one for one in TYPES.values() if one.name == IPC_NAME)
PATH = 2
ORDINARY: dict[int, bytes | int] = {
    1: 3,
    PATH: b"/run/ordinary.fifo",
    7: b"/usr/bin/mkfifo",
    8: b"mkfifo\0ordinary",
}


@pytest.fixture(autouse=True)
def compiler() -> None:
    """The interpreter is built when it is first needed."""
    needs.require_command("cc", "gcc")


def _found(engine: Engine, records: Records) -> list[tuple[int, str, int]]:
    evaluation = engine.evaluate(AS_IPC, records)
    assert not evaluation.faults
    return [(match.row, match.instance.id, match.clause) for match in evaluation.matches]


@given(channel_file=event_strategies.CHANNEL_FILES, records=event_strategies.batches())
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
def test_agrees_with_the_real_interpreter(channel_file: ChannelFile, records: Records) -> None:
    """The laboratory would compare two languages instead of two ways to read an array."""
    types = {AS_IPC.number: AS_IPC}
    expected = _found(Interpreter([channel_file], types), records)
    assert _found(UncheckedEngine([channel_file], types), records) == expected


def test_other_types_go_to_the_real_interpreter() -> None:
    """The demonstration would lose its detections of the other types."""
    process = next(one for one in TYPES.values() if one.name == "process")
    given_file = event_strategies.channel_file((Clause((_contains(1, b"/canary"),)),))
    reference = replace(
        given_file.template_type,
        number=process.number,
        version=process.version,
        fingerprint=process.fingerprint,
        arity=process.arity,
    )
    channel_file = replace(given_file, template_type=reference)
    records = encode(process, {1: b"/tmp/canary"}, rung=Rung.BPF_BTF)
    found = UncheckedEngine([channel_file], TYPES).evaluate(process, records)
    assert [(match.row, match.channel_file) for match in found.matches] == [(0, channel_file)]


def test_four_months_of_wildcards_match() -> None:
    """The file that nobody noticed for four months would not have protected anybody."""
    channel_file = load(july19.channel_file(TYPES, 1, wildcard=True))
    engine = UncheckedEngine([channel_file], TYPES)
    pipe = {**ORDINARY, PATH: july19.PIPE_PATH + b"1"}
    for inputs, matches in ((ORDINARY, 0), (pipe, 1)):
        records = encode(IPC, inputs, rung=Rung.BPF_BTF)
        assert len(engine.evaluate(IPC, records).matches) == matches


def test_input_21_is_the_first_text() -> None:
    """The out-of-bounds read would be a pretence; a path that holds an address is followed."""
    secret = ctypes.create_string_buffer(july19.PIPE_CONTEXT + b" read through a wild pointer")
    path = struct.pack("<QQ", ctypes.addressof(secret), len(secret.value))
    engine = UncheckedEngine([load(july19.channel_file(TYPES, 1, wildcard=False))], TYPES)
    matching = encode(IPC, {**ORDINARY, PATH: path}, rung=Rung.BPF_BTF)
    assert len(engine.evaluate(IPC, matching).matches) == 1
    secret[0] = b"B"
    assert len(engine.evaluate(IPC, matching).matches) == 1, "case is folded"
    secret[0] = b"x"
    assert not engine.evaluate(IPC, matching).matches


def test_each_event_is_noted_with_each_instance_before_it_is_evaluated() -> None:
    """The supervisor would suspect the wrong event or the wrong instance."""
    noted: list[tuple[int, int]] = []
    never = Clause((_contains(PATH, b"never"),))
    elsewhere = Clause((Criterion(PATH, Operator.GLOB, (b"/run/*",)),))
    given_file = event_strategies.channel_file((never,), (elsewhere,), (never,))
    reference = replace(
        load(july19.disguised_channel_file(TYPES, 1)).template_type, fingerprint=IPC.fingerprint
    )
    channel_file = replace(given_file, template_type=reference)
    engine = UncheckedEngine(
        [channel_file], TYPES, note=lambda row, ordinal: noted.append((row, ordinal))
    )
    records = encode(IPC, ORDINARY, rung=Rung.BPF_BTF)
    found = engine.evaluate(IPC, records.repeat(2))
    assert [(match.row, match.instance.id) for match in found.matches] == [(0, "i1"), (1, "i1")]
    assert [pair for pair in noted if pair[1] != 1] == [(0, 0), (0, 2), (1, 0), (1, 2)]
    assert {ordinal for _, ordinal in noted} == {0, 1, 2}


def _contains(field: int, value: Value) -> Criterion:
    return Criterion(field, Operator.CONTAINS, (value,))
