"""The evaluator's work: events in batches from the rings, frames of detections out.

For each ring: read a batch at our own position → interpret → send frames → commit the position.
A frame says up to which position of the ring it speaks; the supervisor keeps the last one, and a
successor goes on exactly there. As a datagram is sent whole or not at all, an event is never
reported twice or left out, whenever this process dies. The ring's own consumer position is only
moved after the frame was sent, so that the kernel never overwrites what is not accounted for.
"""

import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.attribution import Attribution, Phase
from agent.channel import Message, Sender, checksum, receive, send
from agent.evaluator.detections import Frame, Records, Source, frames
from agent.evaluator.limits import LIMITS
from content.definitions import TemplateType
from content.interpreter import Engine, Evaluation, InstanceFault
from probes.ring import Ring


@dataclass(slots=True)
class Cursor:
    """Our place in one ring, in bytes, and what is special about the events ahead.

    careful_until: below this position events are evaluated one by one, because a predecessor died
    somewhere there; the attribution record then names the event exactly.
    aside: positions of events that are not evaluated again.
    """

    ring: Ring
    template_type: TemplateType
    position: int = 0
    careful_until: int = 0
    aside: frozenset[int] = frozenset()

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
    left_out: Template Type → how many instances in quarantine the engine was not given.
    """

    channel: socket.socket
    engine: Engine
    attribution: Attribution
    cursors: Mapping[int, Cursor]
    epoch: str
    hashes: Mapping[int, str]
    skipped: Sequence[InstanceFault] = ()
    left_out: Mapping[int, int] = field(default_factory=dict)
    evaluated: int = 0
    refused_rows: int = 0
    clock: Callable[[], float] = time.monotonic
    _last_heartbeat: float = field(default=0.0)

    def run(self, go: Message) -> None:
        """Evaluate until the supervisor says drain or stop, or closes the channel."""
        self._take_over(go)
        self._tell_faults(self.skipped)
        poller = select.poll()
        poller.register(self.channel, select.POLLIN)
        wait = LIMITS.poll_busy_seconds
        while True:
            busy = False
            for cursor in self.cursors.values():
                busy |= self._step(cursor)
            self._heartbeat()
            wait = LIMITS.poll_busy_seconds if busy else wait * LIMITS.poll_growth
            wait = min(wait, LIMITS.poll_idle_seconds)
            if poller.poll(0 if busy else wait * 1000.0):
                message = receive(self.channel, Sender.SUPERVISOR)
                if message is None or message.kind in ("drain", "stop"):
                    self._finish()
                    return

    def _take_over(self, go: Message) -> None:
        self.attribution.phase(Phase.IDLE)
        for number, cursor in self.cursors.items():
            name = str(number)
            cursor.position = _number(go["positions"], name, cursor.ring.consumer_position)
            cursor.careful_until = _number(go["careful"], name, 0)
            cursor.aside = frozenset(go["aside"].get(name, ()))
            _commit(cursor)

    def _step(self, cursor: Cursor) -> bool:
        """Evaluate one batch of one ring; whether there may be more."""
        if cursor.position in cursor.aside:
            return self._set_aside(cursor)
        # An idle sensor does little else than this, for each ring, at each poll.
        if cursor.ring.producer_position == cursor.position:
            return False
        limit = cursor.next_batch()
        records = cursor.ring.read(cursor.position, limit)
        count = len(records)
        if not count:
            return False
        self.attribution.batch(cursor.template_type.number, cursor.position, count)
        if count == 1:
            self.attribution.note(0, 2**64 - 1)
        evaluation = self.engine.evaluate(cursor.template_type, records)
        self._report(cursor, records, evaluation)
        self.attribution.phase(Phase.IDLE)
        return count >= min(limit, LIMITS.batch_records) or limit < LIMITS.batch_records

    def _report(self, cursor: Cursor, records: Records, evaluation: Evaluation) -> None:
        """Send what was found, frame by frame, and commit each frame's position."""
        # Before the position moves on: better counted twice than not at all.
        number = cursor.template_type.number
        undecided = sum(one.rows for one in evaluation.undecided)
        # Without their patterns nobody knows on which events they might have matched: on all.
        undecided += self.left_out.get(number, 0) * (len(records) - evaluation.refused_rows)
        if undecided:
            send(self.channel, "undecided", ring=number, rows=undecided)
        start, stride, done = cursor.position, cursor.ring.stride, 0
        source = Source(self.epoch, start // stride, _boot_to_unix_ns())
        found = frames(
            evaluation.matches, cursor.template_type, records, source, LIMITS.frame_payload_bytes
        )
        for frame in found:
            upto = frame.last_row + 1 if frame.complete else frame.last_row
            self._send_frame(cursor, frame, start + upto * stride, upto - done)
            done = upto
        if done < len(records):
            rest = Frame(len(records) - 1, complete=True, payload=b"", detections=0, verdicts=())
            self._send_frame(cursor, rest, start + len(records) * stride, len(records) - done)
        self.refused_rows += evaluation.refused_rows
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
        step = Frame(0, complete=True, payload=b"", detections=0, verdicts=())
        self._send_frame(cursor, step, cursor.position + cursor.ring.stride, 0)
        return True

    def _send_frame(self, cursor: Cursor, frame: Frame, position: int, evaluated: int) -> None:
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
        self.evaluated += evaluated
        cursor.position = position
        _commit(cursor)

    def _heartbeat(self) -> None:
        now = self.clock()
        if now - self._last_heartbeat < LIMITS.heartbeat_seconds:
            return
        self._last_heartbeat = now
        facts = {"evaluated": self.evaluated, "refused_rows": self.refused_rows}
        send(self.channel, "heartbeat", facts=facts)

    def _finish(self) -> None:
        positions = {str(number): cursor.position for number, cursor in self.cursors.items()}
        send(self.channel, "drained", positions=positions)


def _commit(cursor: Cursor) -> None:
    """Free what is accounted for; a predecessor may have gone further than it said."""
    if cursor.position > cursor.ring.consumer_position:
        cursor.ring.commit(cursor.position)


def _number(mapping: Mapping[str, Any], name: str, default: int) -> int:
    value = mapping.get(name, default)
    return value if type(value) is int else default


def _boot_to_unix_ns() -> int:
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
