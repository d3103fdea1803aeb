"""The evaluator's work: events in batches from the rings, frames of detections out.

For each ring: read a batch at our own position → interpret → send frames → commit the position.
A frame says up to which position of the ring it speaks; the supervisor keeps the last one, and a
successor goes on exactly there. As a datagram is sent whole or not at all, an event is never
reported twice or left out, whenever this process dies. What takes more than one message says no new
position until the last one: the supervisor holds the others back until then, and forgets them if
that never comes. The ring's own consumer position is only moved after the frame was sent, so that
the kernel never overwrites what is not accounted for.

Batches in which nothing matched are told together, a few times a second: a successor that looks at
them again finds nothing again, and on an idle host telling costs more than evaluating.
"""

import resource
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.attribution import Attribution, Phase
from agent.channel import Message, Sender, checksum, receive, send
from agent.evaluator.detections import Frame, Records, Source, frames
from agent.evaluator.limits import LIMITS
from agent.evaluator.waiting import Looks, Waiter
from content.definitions import TemplateType
from content.interpreter import Engine, Evaluation, InstanceFault
from probes.ring import Ring

KIBIBYTE = 1024
NOTHING_FOUND = Frame(0, complete=True, payload=b"", detections=0, verdicts=())


@dataclass(slots=True)
class Cursor:
    """Our place in one ring, in bytes, and what is special about the events ahead.

    epoch: names the ring for good; ids of detections begin with it.
    careful_until: below this position events are evaluated one by one, because a predecessor died
    somewhere there; the attribution record then names the event exactly.
    aside: positions of events that are not evaluated again.
    untold: events before our place that no frame has spoken of yet; none of them matched.
    """

    ring: Ring
    template_type: TemplateType
    epoch: str
    position: int = 0
    careful_until: int = 0
    aside: frozenset[int] = frozenset()
    untold: int = 0

    def next_batch(self) -> int:
        """How many records the next batch may hold."""
        if self.position < self.careful_until:
            return 1
        ahead = [position for position in self.aside if position > self.position]
        if not ahead:
            return LIMITS.batch_records
        return min(LIMITS.batch_records, (min(ahead) - self.position) // self.ring.stride)


@dataclass(slots=True)
class EventLoop:
    """Everything that a running evaluator holds.

    hashes: hexadecimal content hash of the Channel File of each Template Type.
    skipped: instances that the engine has skipped since before it was put to work.
    prevents: whether the host's policy lets the sensor prevent anything.
    left_out: Template Type → how many instances in quarantine the engine was not given.
    """

    channel: socket.socket
    engine: Engine
    attribution: Attribution
    cursors: Mapping[int, Cursor]
    hashes: Mapping[int, str]
    waiter: Waiter
    skipped: Sequence[InstanceFault] = ()
    prevents: bool = True
    left_out: Mapping[int, int] = field(default_factory=dict)
    evaluated: int = 0
    evaluation_ns: int = 0
    refused_rows: int = 0
    clock: Callable[[], float] = time.monotonic
    _told_progress: float = field(default=0.0)
    _last_said: float = field(default=0.0)
    _told_facts: float = field(default=0.0)

    def run(self, go: Message) -> None:
        """Evaluate until the supervisor says drain or stop, or closes the channel."""
        self._take_over(go)
        self._tell_faults(self.skipped)
        looks = Looks()
        busy = False
        cursors = tuple(self.cursors.values())
        while True:
            was_busy, busy, found = busy, False, False
            # An idle sensor does little else than this, for each ring, at each look.
            for cursor in cursors:
                if cursor.ring.producer_position != cursor.position:
                    found = True
                    busy |= self._step(cursor)
            self._tell_progress(at_once=was_busy and not busy)
            now = self.clock()
            looks.looked(now, found=found)
            asleep = self.waiter.can_sleep and looks.idle(now)
            if asleep and self._is_behind():
                continue
            wait = self._last_said + LIMITS.heartbeat_seconds - now if asleep else looks.seconds
            if self.waiter.wait(0 if busy else max(wait, 0), asleep=asleep):
                message = receive(self.channel, Sender.SUPERVISOR)
                if message is None or message.kind in ("drain", "stop"):
                    self._finish()
                    return
                if message.kind == "prevention":
                    self.prevents = bool(message["prevention"])

    def _take_over(self, go: Message) -> None:
        self.attribution.phase(Phase.IDLE)
        self.prevents = bool(go["prevention"])
        for number, cursor in self.cursors.items():
            name = str(number)
            cursor.position = _number(go["positions"], name, cursor.ring.consumer_position)
            cursor.careful_until = _number(go["careful"], name, 0)
            cursor.aside = frozenset(go["aside"].get(name, ()))
            _commit(cursor)

    def _is_behind(self) -> bool:
        """Commit everything, or no event would wake us; whether one has come before that."""
        self._tell_untold()
        return any(one.ring.producer_position != one.position for one in self.cursors.values())

    def _step(self, cursor: Cursor) -> bool:
        """Evaluate one batch of one ring; whether there may be more."""
        if cursor.position in cursor.aside:
            return self._set_aside(cursor)
        limit = cursor.next_batch()
        records = cursor.ring.read(cursor.position, limit)
        count = len(records)
        if not count:
            return False
        self.attribution.batch(cursor.template_type.number, cursor.position, count)
        if count == 1:
            self.attribution.note(0, 2**64 - 1)
        began = time.thread_time_ns()
        evaluation = self.engine.evaluate(cursor.template_type, records)
        self.evaluation_ns += time.thread_time_ns() - began
        self._report(cursor, records, evaluation)
        self.attribution.phase(Phase.IDLE)
        return count >= min(limit, LIMITS.batch_records) or limit < LIMITS.batch_records

    def _report(self, cursor: Cursor, records: Records, evaluation: Evaluation) -> None:
        """Send what was found, frame by frame, and commit each frame's position."""
        self.refused_rows += evaluation.refused_rows
        number = cursor.template_type.number
        undecided = sum(one.rows for one in evaluation.undecided)
        # Without their patterns nobody knows on which events they might have matched: on all.
        undecided += self.left_out.get(number, 0) * (len(records) - evaluation.refused_rows)
        if not undecided and _can_wait(cursor, evaluation):
            cursor.position += len(records) * cursor.ring.stride
            cursor.untold += len(records)
            return
        # Before the position moves on, and in one with it: the supervisor holds it back until then.
        if undecided:
            send(self.channel, "undecided", ring=number, rows=undecided)
        start, stride, done = cursor.position, cursor.ring.stride, 0
        source = Source(cursor.epoch, start // stride, _boot_to_unix_ns(), prevents=self.prevents)
        found = frames(
            evaluation.matches, cursor.template_type, records, source, LIMITS.frame_payload_bytes
        )
        for frame in found:
            if undecided or not frame.complete:
                self._send(cursor, frame, cursor.position - cursor.untold * stride, 0)
                continue
            upto = frame.last_row + 1
            self._send_frame(cursor, frame, start + upto * stride, upto - done)
            done = upto
        if done < len(records):
            end = start + len(records) * stride
            self._send_frame(cursor, NOTHING_FOUND, end, len(records) - done)
        self._tell_faults(evaluation.faults)

    def _tell_faults(self, faults: Sequence[InstanceFault]) -> None:
        for fault in faults:
            send(
                self.channel,
                "fault",
                hash=self.hashes[fault.channel_file.template_type.number],
                instance=fault.instance.id,
                reason=str(fault.reason),
                detail=fault.detail,
            )

    def _set_aside(self, cursor: Cursor) -> bool:
        """Step over an event that killed a predecessor; the supervisor has counted it."""
        self._send_frame(cursor, NOTHING_FOUND, cursor.position + cursor.ring.stride, 0)
        return True

    def _send_frame(self, cursor: Cursor, frame: Frame, position: int, rows: int) -> None:
        """Tell of so many events more, up to a position, and of those that no frame spoke of."""
        self._send(cursor, frame, position, rows + cursor.untold)
        self._told(cursor, position, rows)

    def _send(self, cursor: Cursor, frame: Frame, position: int, evaluated: int) -> None:
        send(
            self.channel,
            "frame",
            payload=frame.payload,
            ring=cursor.template_type.number,
            position=position,
            evaluated=evaluated,
            detections=frame.detections,
            verdicts=list(frame.verdicts),
            crc32=checksum(frame.payload),
        )

    def _told(self, cursor: Cursor, position: int, rows: int) -> None:
        """The supervisor has it: what lies before the position is accounted for."""
        self.evaluated += rows + cursor.untold
        self._last_said = self.clock()
        cursor.untold = 0
        cursor.position = position
        _commit(cursor)

    def _tell_progress(self, *, at_once: bool) -> None:
        """What can wait no longer, and that we are alive where there is nothing else to say."""
        now = self.clock()
        if at_once or now - self._told_progress >= LIMITS.progress_seconds:
            self._told_progress = now
            self._tell_untold()
        silence, age = now - self._last_said, now - self._told_facts
        if silence >= LIMITS.heartbeat_seconds or age >= LIMITS.facts_seconds:
            self._last_said = self._told_facts = now
            send(self.channel, "heartbeat", facts=self._facts())

    def _facts(self) -> dict[str, int]:
        """How much was evaluated, in which processor time and with how much memory at most."""
        return {
            "evaluated": self.evaluated,
            "refused_rows": self.refused_rows,
            "evaluation_ns": self.evaluation_ns,
            "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE,
        }

    def _tell_untold(self) -> None:
        """All in one message: on an idle host, messages are most of what we cost."""
        waiting = [cursor for cursor in self.cursors.values() if cursor.untold]
        if not waiting:
            return
        rings = [[one.template_type.number, one.position, one.untold] for one in waiting]
        send(self.channel, "progress", rings=rings)
        for cursor in waiting:
            self._told(cursor, cursor.position, 0)

    def _finish(self) -> None:
        self._tell_untold()
        positions = {str(number): cursor.position for number, cursor in self.cursors.items()}
        send(self.channel, "drained", positions=positions)


def _can_wait(cursor: Cursor, evaluation: Evaluation) -> bool:
    """Whether a batch is told later: nothing was found in it, and not much waits already."""
    found = evaluation.matches or evaluation.faults
    careful = cursor.position < cursor.careful_until
    return not (found or careful) and cursor.untold < LIMITS.progress_records


def _commit(cursor: Cursor) -> None:
    """Free what is accounted for; a predecessor may have gone further than it said."""
    if cursor.position > cursor.ring.consumer_position:
        cursor.ring.commit(cursor.position)


def _number(mapping: Mapping[str, Any], name: str, default: int) -> int:
    value = mapping.get(name, default)
    return value if type(value) is int else default


def _boot_to_unix_ns() -> int:
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
