"""What the records of an incident amount to. Pure.

Stretches of time are the hosts' own and compared only with times of the same host. The order of
things is that in which the cloud learned of them: clocks of hosts may be wrong by any amount.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from bulkhead.v1.report_pb2 import CrashReport, LossReport, Role
from cloud.incident.records import Records
from cloud.offers import REFUSED, RUNNING, Standing
from cloud.rollout.audit import Entry
from cloud.rollout.table import State
from cloud.store.audit import ENGINE
from cloud.store.reports import Stored
from cloud.views import enum_name
from content.loss_causes import LossCause, counts_as_lost

NANOSECONDS = 1_000_000_000
QUARANTINED = "QUARANTINED"
TIMELINE_HOSTS = 20
"""Hosts whose deaths are told one by one; of the others only how many they are."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline, by the cloud's clock (ns)."""

    time_unix_ns: int
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Outage:
    """Nobody evaluated on a host: from when to when (its clock, ns), events that waited."""

    agent_id: str
    start: int
    end: int
    waited: int

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.end - self.start) / NANOSECONDS


@dataclass(frozen=True, slots=True)
class Halt:
    """How the rollout came to its end: seconds from the first report of a death, by whom, why."""

    seconds: float
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Account:
    """An incident. deaths: reports; by role, by cause and by what the sensor did about them.

    reached: hosts that have, or had, the content. given_up, running: of those, by now. worst: most
    deaths on one host until it quarantined something; None where none did. lost: counts by cause.
    late: detections whose event waited for an evaluator; longest_wait: at least so long (s).
    """

    crash: Stored[CrashReport]
    deaths: int
    roles: Counter[str]
    causes: Counter[str]
    actions: Counter[str]
    instances: Counter[str]
    hosts: Mapping[str, int]
    platforms: Counter[str]
    fleet: int
    reached: int
    given_up: int
    running: int
    worst: int | None
    halt: Halt | None
    outages: Sequence[Outage]
    lost: Counter[str]
    late: int
    longest_wait: float
    timeline: Sequence[Moment]


def account(records: Records) -> Account:
    """Everything that can be said."""
    crashes = [one.report for one in records.crashes]
    hosts = Counter(one.agent_id for one in records.crashes)
    outages = _outages(records)
    waits = _waits(records, outages)
    standings = Counter(one.standing for one in records.standings)
    return Account(
        crash=records.named,
        deaths=len(crashes),
        roles=Counter(role(one) for one in crashes),
        causes=Counter(one.cause for one in crashes),
        actions=Counter(one.action for one in crashes),
        instances=Counter(one.suspect_instance_id for one in crashes if one.suspect_instance_id),
        hosts=hosts,
        platforms=Counter(records.platforms[agent] for agent in hosts),
        fleet=records.fleet,
        reached=standings.total() - standings[Standing.WITHHELD] - standings[Standing.OFFERED],
        given_up=sum(standings[one] for one in REFUSED),
        running=sum(standings[one] for one in RUNNING),
        worst=_worst(records.crashes),
        halt=_halt(records),
        outages=outages,
        lost=_lost(records),
        late=len(waits),
        longest_wait=max(waits, default=0.0),
        timeline=_timeline(records),
    )


def role(report: CrashReport) -> str:
    """What died."""
    return enum_name(Role, report.role)


def _outages(records: Records) -> list[Outage]:
    """Stretches that a death of the incident lies in; one record for each Template Type."""
    died: dict[str, list[int]] = {}
    for crash in records.crashes:
        died.setdefault(crash.agent_id, []).append(crash.report.time_unix_ns)
    waited: Counter[tuple[str, int, int]] = Counter()
    for one in records.losses:
        loss = one.report
        if loss.cause == LossCause.EVALUATOR_DOWN and _holds(loss, died[one.agent_id]):
            waited[one.agent_id, loss.from_unix_ns, loss.to_unix_ns] += loss.count
    return [Outage(*stretch, count) for stretch, count in waited.items()]


def _holds(loss: LossReport, times: Sequence[int]) -> bool:
    return any(loss.from_unix_ns <= time <= loss.to_unix_ns for time in times)


def _waits(records: Records, outages: Sequence[Outage]) -> list[float]:
    """Of each detection whose event came while nobody evaluated: how long it waited, at least."""
    return [
        (outage.end - time) / NANOSECONDS
        for outage in outages
        for time in records.detected.get(outage.agent_id, ())
        if outage.start <= time < outage.end
    ]


def _lost(records: Records) -> Counter[str]:
    """Events and reports that are missing, of the time from a host's first death to its last."""
    lost: Counter[str] = Counter()
    times: dict[str, list[int]] = {}
    for crash in records.crashes:
        times.setdefault(crash.agent_id, []).append(crash.report.time_unix_ns)
    for one in records.losses:
        loss, died = one.report, times[one.agent_id]
        overlaps = loss.to_unix_ns >= min(died) and loss.from_unix_ns <= max(died)
        if counts_as_lost(loss.cause) and overlaps:
            lost[loss.cause] += loss.count
    return lost


def _worst(crashes: Sequence[Stored[CrashReport]]) -> int | None:
    """Most deaths on one host up to the one after which it put something into quarantine."""
    deaths: Counter[str] = Counter()
    until: dict[str, int] = {}
    for one in crashes:
        deaths[one.agent_id] += 1
        if one.report.action == QUARANTINED:
            until.setdefault(one.agent_id, deaths[one.agent_id])
    return max(until.values(), default=None)


def _halt(records: Records) -> Halt | None:
    first = records.crashes[0].received_unix_ns
    for entry in records.entries:
        detail = json.loads(entry.detail)
        if detail.get("to") == State.HALTED and detail.get("from") != State.HALTED:
            seconds = (entry.time_unix_ns - first) / NANOSECONDS
            return Halt(seconds, entry.actor, str(detail.get("reason", "")))
    if records.revoked is not None:
        at, reason = records.revoked
        return Halt((at - first) / NANOSECONDS, "a revocation", reason)
    return None


def _timeline(records: Records) -> list[Moment]:
    moments = [_of_entry(one) for one in records.entries]
    if records.revoked is not None:
        moments.append(Moment(records.revoked[0], "cloud", "the content was ordered back"))
    moments += _deaths(records.crashes)
    moments += _given_up(records)
    return sorted(moments, key=lambda one: one.time_unix_ns)


def _of_entry(entry: Entry) -> Moment:
    told = json.loads(entry.detail)
    words = f"{entry.action}: {told['from']} → {told['to']}" if "from" in told else entry.action
    reason = f" ({told['reason']})" if told.get("reason") else ""
    who = entry.actor if entry.actor == ENGINE else f"operator {entry.actor}"
    return Moment(entry.time_unix_ns, who, words + reason)


def _deaths(crashes: Sequence[Stored[CrashReport]]) -> list[Moment]:
    """Of the first hosts each run of equal deaths, and how many hosts followed."""
    first = list(dict.fromkeys(one.agent_id for one in crashes))
    moments = []
    for agent in first[:TIMELINE_HOSTS]:
        ours = (one for one in crashes if one.agent_id == agent)
        for (died, cause, action), run in groupby(ours, _kind):
            same = list(run)
            often = f", {len(same)} times" if len(same) > 1 else ""
            what = f"{died} died of {cause}{often}: {action}"
            moments.append(Moment(same[0].received_unix_ns, f"host {agent}", what))
    if more := first[TIMELINE_HOSTS:]:
        at = next(one.received_unix_ns for one in crashes if one.agent_id == more[0])
        moments.append(Moment(at, "hosts", f"deaths on {len(more)} more hosts, from here on"))
    return moments


def _kind(one: Stored[CrashReport]) -> tuple[str, str, str]:
    return role(one.report), one.report.cause, one.report.action


def _given_up(records: Records) -> list[Moment]:
    found: dict[Standing, list[int]] = {}
    for one in records.standings:
        if one.standing in REFUSED:
            found.setdefault(one.standing, []).append(one.changed_unix_ns)
    moments = []
    for standing, times in found.items():
        word = standing.value.replace("_", " ")
        hosts = "one host" if len(times) == 1 else f"the first of {len(times)} hosts"
        moments.append(Moment(min(times), "cloud", f"{word} on {hosts}"))
        if len(times) > 1:
            moments.append(Moment(max(times), "cloud", f"{word} on the last of them"))
    return moments
