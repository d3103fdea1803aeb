"""Who is to be stopped, as an event says it."""

from types import SimpleNamespace
from typing import Any

from agent.evaluator.detections import verdict
from content.definitions import Rung, load_definitions
from content.record import encode

PROCESS = load_definitions()[1]
MATCH: Any = SimpleNamespace(row=0, instance=SimpleNamespace(id="instance"))


def number(name: str) -> int:
    """The number of a field."""
    return next(field.number for field in PROCESS.fields if field.name == name)


def test_pid_and_start_time() -> None:
    """Nobody, or another process, would be stopped."""
    inputs = {number("pid"): 77, number("start_time"): 5_000}
    found = verdict(MATCH, PROCESS, encode(PROCESS, inputs, rung=Rung.BPF_BTF))
    assert (found["pid"], found["start_time"], found["instance"]) == (77, 5_000, "instance")


def test_what_an_earlier_record_left_behind_is_no_start_time() -> None:
    """On a rung without start times, another event's would be taken from the ring's memory."""
    records = encode(PROCESS, {number("pid"): 77}, rung=Rung.BPF_TRACEPOINT)
    records["start_time"] = 9_999
    assert verdict(MATCH, PROCESS, records)["start_time"] == 0
