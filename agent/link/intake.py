"""What the supervisor says, turned into work: one handler per kind of message.

Reports and outcomes are gathered into the batch that is stored next; identity and state update what
the session knows. A report that can't be read is stored as a loss, never refused: the supervisor
would send it again for ever. Other messages that can't be read are said on standard error and left.
"""

from collections.abc import Callable, Mapping

from agent.channel import Message, ProtocolViolationError
from agent.link import reports
from agent.link.errors import ReportError
from agent.link.log import say
from agent.link.own_activity import OwnActivity
from agent.link.sensor import Identity, RefusedRung, Sensor
from agent.link.store import Batch, Report
from content.definitions import Rung


def identity(message: Message) -> Identity:
    """Who we are; ReportError where a rung is named that the ladder does not have."""
    if message["rung"] not in {"", *Rung}:
        raise ReportError("IDENTITY", f"rung {message['rung']!r:.40}, expected one of the ladder")
    return Identity(
        agent=reports.text(message["agent"]),
        run=reports.text(message["run"]),
        rung=message["rung"],
        refused=tuple(_refused(one) for one in message["refused"]),
        not_collected=frozenset(_number(one) for one in message["not_collected"]),
        boot_id=reports.text(message["boot_id"]),
    )


def _number(entry: object) -> int:
    if type(entry) is not int:
        raise ReportError("IDENTITY", f"Template Type {entry!r:.40}, expected a number")
    return entry


def _refused(entry: object) -> RefusedRung:
    if not isinstance(entry, dict) or entry.get("rung") not in tuple(Rung):
        raise ReportError("IDENTITY", f"refused rung {entry!r:.80}, expected one of the ladder")
    words = (reports.text(entry.get(name)) for name in ("reason", "detail"))
    return RefusedRung(entry["rung"], *words)


class Intake:
    """Takes messages one by one; `batch` is what they amount to, until it is replaced."""

    def __init__(self, sensor: Sensor, now_unix_ns: Callable[[], int]) -> None:
        self.batch = Batch()
        self.stopping = False
        self.identity_changed = False
        self.own_activity = OwnActivity(sensor.software.types)
        self._sensor = sensor
        self._now_unix_ns = now_unix_ns
        self._handlers: Mapping[str, Callable[[Message], None]] = {
            "identity": self._identity,
            "state": self._state,
            "outcome": self._outcome,
            "own": self._own,
            "detections": self._detections,
            "crash": self._crash,
            "loss": self._loss,
            "stop": self._stop,
        }

    def take(self, message: Message) -> None:
        """Handle one message; ProtocolViolationError for what a link is not told."""
        handler = self._handlers.get(message.kind)
        if handler is None:
            raise ProtocolViolationError(f"a link is not told {message.kind}")
        try:
            handler(message)
        except ReportError as error:
            say(f"{message.kind}: {error}")
            if "report" in message.fields:
                self.batch.reports.append(Report(message["report"], None, error.count))

    def _identity(self, message: Message) -> None:
        told = identity(message)
        if told.run != self._sensor.identity.run or told.agent != self._sensor.identity.agent:
            raise ProtocolViolationError("another agent or run of the supervisor on one channel")
        self._sensor.active = reports.active_files(message["active"])
        if told != self._sensor.identity:
            self._sensor.identity = told
            self.identity_changed = True

    def _state(self, message: Message) -> None:
        active = reports.active_files(message["active"])
        self._sensor.active = active
        rung = self._sensor.identity.rung
        if rung:
            beat = reports.heartbeat(message["facts"], rung, active, self._now_unix_ns())
            beat.deliveries_refused = self._sensor.trust.refused
            beat.last_refusal = self._sensor.trust.because
            self._sensor.heartbeat = beat

    def _outcome(self, message: Message) -> None:
        outcome = reports.acknowledgement(message["hash"], message["state"], message["problems"])
        self._sensor.note_outcome(outcome.content_hash, message["state"])
        self.batch.acknowledgements.append(outcome)

    def _detections(self, message: Message) -> None:
        batch = reports.detections(message.payload)
        self.own_activity.mark(batch)
        self.batch.reports.append(Report(message["report"], batch))

    def _own(self, message: Message) -> None:
        self.own_activity.know(message["processes"])

    def _crash(self, message: Message) -> None:
        crash = reports.crash(message["facts"])
        self.batch.reports.append(Report(message["report"], crash))

    def _loss(self, message: Message) -> None:
        loss = reports.loss(message["facts"])
        self.batch.reports.append(Report(message["report"], loss))

    def _stop(self, _message: Message) -> None:
        self.stopping = True
