"""What an evaluator claims of events, checked against the ring itself.

A position must lie between what is accounted for and what was written; a verdict must be about the
process that its event names. Whatever is not so is a ProtocolViolationError.
"""

from dataclasses import dataclass
from typing import Any

from agent.channel import ProtocolViolationError, Violation
from agent.supervisor.evidence import process_of
from agent.supervisor.rings import RingFacts

_VERDICT_NUMBERS = ("pid", "start_time", "sequence")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who is to be stopped, at which instance's wish.

    event_gone: nobody can say any more whether an event names that process.
    """

    pid: int
    start_time: int
    instance: str
    event_gone: bool


def check_advance(ring: RingFacts, position: int, evaluated: int) -> None:
    """ProtocolViolationError where a ring can't have been evaluated up to there, or so much."""
    if position < ring.position or position > ring.produced() or position % ring.stride:
        raise ProtocolViolationError(
            f"position {position} of ring {ring.template_type}", Violation.FORGED_POSITION
        )
    if not 0 <= evaluated <= (position - ring.position) // ring.stride:
        raise ProtocolViolationError(
            f"{evaluated} events up to position {position}", Violation.FORGED_COUNT
        )


def verdict_of(ring: RingFacts, end: int, said: Any) -> Verdict:
    """A verdict about the process of an event between the ring's position and `end`.

    ProtocolViolationError if the event does not name that process.
    """
    try:
        numbers = pid, start_time, sequence = [said[name] for name in _VERDICT_NUMBERS]
        instance = str(said["instance"])
    except (KeyError, TypeError) as error:
        raise ProtocolViolationError("malformed verdict") from error
    if any(type(number) is not int for number in numbers):
        raise ProtocolViolationError("malformed verdict")
    position = sequence * ring.stride
    # The last event of a frame may have more detections in the next one.
    if not ring.position <= position <= end:
        raise ProtocolViolationError("a verdict on no event of its frame", Violation.FORGED_VERDICT)
    # Without a start time nobody is stopped.
    named = process_of(ring, position) if start_time else (pid, start_time)
    if named not in (None, (pid, start_time)):
        raise ProtocolViolationError(
            f"a verdict on process {pid}, which its event does not name", Violation.FORGED_VERDICT
        )
    return Verdict(pid, start_time, instance, event_gone=named is None)
