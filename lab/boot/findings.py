"""What a boot showed, from what its witness said. Pure.

Seconds are since the kernel's start. A boot counts as passed only if every canary was detected,
also those that ran while an evaluator was dead, no ordinary service was started before the sensor
was ready, it protected when the first one started (or its evaluator had just died), and it is the
same supervisor at the end.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.boot import systemd
from lab.boot.lines import Said, first
from lab.boot.systemd import Service

SECOND_NS = 1_000_000_000


class IncompleteError(Exception):
    """The witness did not come to its end; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class BootFindings:
    """One boot of a host.

    unit_started, ready: when systemd started the sensor, and when the sensor said READY=1.
    collecting: when its probes were attached, None if that is not known.
    first_detected: when the first canary stood in the detection log.
    protected: the same for the first canary that ran after the last death of an evaluator.
    protecting_at_start: what the sensor's status said when the first ordinary service started.
    longest_wait: seconds from a canary's start to its detection, at most.
    missed: canaries that were never detected.
    early: ordinary services that were started before the sensor was ready.
    ordinary: how many were started after it.
    programs_before: program starts since the kernel's before the probes were attached.
    running_before, judged_before: processes that ran already when collection began, and how many of
    them the sensor has judged since; None where its status does not say.
    """

    unit_started: float
    ready: float | None
    collecting: float | None
    witness_started: float
    first_detected: float | None
    protected: float | None
    protecting_at_start: bool
    longest_wait: float
    missed: int
    early: tuple[str, ...]
    ordinary: int
    programs_before: int | None
    running_before: int | None
    judged_before: int | None
    rung: str
    reduced: tuple[str, ...]
    deaths: int
    quarantined: int
    restarts: int
    status_line: str

    @property
    def protected_after_boot(self) -> float:
        """Seconds from the moment at which the boot went on to protection that lasted.

        Infinite where that never came.
        """
        if self.protected is None or self.ready is None:
            return math.inf
        return max(0.0, self.protected - self.ready)

    @property
    def complaint(self) -> str | None:
        """Why this boot does not count as protected; None if it does."""
        if self.ready is None:
            return f"the sensor never was ready: {self.status_line}"
        if self.early:
            return f"started before the sensor was ready: {', '.join(self.early)}"
        # Amid deaths of evaluators there are moments without one; what counts is that they end.
        if not self.protecting_at_start and not self.deaths:
            return "ordinary services started on a host without protection"
        if self.missed or self.protected is None:
            return f"{self.missed} canaries were not detected"
        return f"the sensor was started {self.restarts} times again" if self.restarts else None


def read(said: Sequence[Said]) -> BootFindings:
    """Put a boot together; IncompleteError where a part of the report is missing."""
    start, canaries = _part(said, "start"), _part(said, "canaries")
    status = _part(said, "status")["status"]
    clock = _part(said, "clock")
    services = [systemd.from_document(one) for one in _part(said, "services")["services"]]
    sensor = next((one for one in services if one.name == systemd.SENSOR), None)
    if sensor is None or status is None:
        raise IncompleteError("systemd did not start the sensor, or it does not answer")
    collecting = _part(said, "collection")["at"]
    last_death = max((_since_boot(one, clock) for one in status["deaths"]), default=0.0)
    runs = list(zip(canaries["ran"], canaries["logged"], strict=True))
    return BootFindings(
        unit_started=sensor.started,
        ready=sensor.ready,
        collecting=collecting,
        witness_started=start["at"],
        first_detected=_first_detected(runs, 0.0),
        protected=_first_detected(runs, last_death),
        protecting_at_start=bool(start["status"] and start["status"]["protecting"]),
        longest_wait=max((logged - ran for ran, logged in runs if logged is not None), default=0.0),
        missed=sum(logged is None for _, logged in runs),
        early=early(services, sensor),
        ordinary=sum(_after(one, sensor) for one in services if one.ordinary),
        programs_before=_before(_part(said, "programs")["started"], collecting),
        running_before=running_before(status),
        judged_before=judged_before(status),
        rung=status["rung"],
        reduced=tuple(status["reduced_because"]),
        deaths=len(status["deaths"]),
        quarantined=len(status["content"]["quarantine"]),
        restarts=sensor.restarts,
        status_line=sensor.status,
    )


def early(services: Sequence[Service], sensor: Service) -> tuple[str, ...]:
    """Ordinary services that did not wait for the sensor."""
    waited = [one for one in services if one.ordinary and one.name != sensor.name]
    return tuple(sorted(one.name for one in waited if not _after(one, sensor)))


def judged_before(status: Mapping[str, Any]) -> int | None:
    """How many processes that were older than the probes were judged, if the status tells."""
    seeding = _seeding(status)
    return int(seeding["judged"]) if seeding else None


def running_before(status: Mapping[str, Any]) -> int | None:
    """How many there were: all that were found but those that the probes have seen executing."""
    seeding = _seeding(status)
    return int(seeding["found"]) - int(seeding["executed_since"]) if seeding else None


def _seeding(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = (status.get("collection") or {}).get("seeding")
    return found if isinstance(found, dict) else None


def _after(one: Service, sensor: Service) -> bool:
    return sensor.ready is not None and one.started >= sensor.ready


def _before(started: Sequence[float], collecting: float | None) -> int | None:
    """Without a trace nothing is known: the kernel starts at least init."""
    if collecting is None or not started:
        return None
    return sum(moment < collecting for moment in started)


def _first_detected(runs: Sequence[tuple[float, float | None]], since: float) -> float | None:
    return next((logged for ran, logged in runs if ran >= since and logged is not None), None)


def _since_boot(death: Mapping[str, Any], clock: Said) -> float:
    ago = (int(clock["wall_ns"]) - int(death["time_unix_ns"])) / SECOND_NS
    return float(clock["at"]) - ago


def _part(said: Sequence[Said], what: str) -> Said:
    found = first(said, what)
    if found is None:
        raise IncompleteError(f"the witness did not say {what}")
    return found
