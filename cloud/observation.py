"""What the store says of every host, kept up to date look by look, as columns for the engine.

Only what is new since the last look is read: hosts heard since, reports with higher numbers.
Silence is measured by our own monotonic clock, from when a host was last noticed: neither a host's
clock nor a jump of ours makes anybody silent. A report counts when it arrives, however late; those
that came before the rollout began don't.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, select

from bulkhead.v1.report_pb2 import CrashReport, Detection, Heartbeat
from bulkhead.v1.sensor_service_pb2 import Hello
from cloud.offers import REFUSED, Standing
from cloud.refusals import Refusal, from_text
from cloud.rollout.evidence import Columns
from cloud.rollout.policy import WithheldReason
from cloud.rollout.seats import RINGS, Candidates, lot
from cloud.rollout.sign import Sign
from cloud.rollout.table import STAGES
from cloud.store.policies import Policies
from cloud.store.rollouts import Started, Stored
from cloud.store.tables import CRASHES, DETECTIONS, HOST_CONTENT, HOSTS

CONTROL_SECONDS = 3600.0
"""A host that was heard within this time can be compared with."""

INSTANCE_PLACE = "instance "
"""How sensors begin to say which Template Instance they skip."""

WHOLE_FILE = "*"
"""In place of a new instance where a version has none."""


@dataclass(slots=True)
class SeenHost:
    """One host; heard_at by the monotonic clock, live: whether it was heard since we look."""

    last_seen_unix_ns: int
    heard_at: float
    live: bool
    platform: str = ""
    evaluation_ns: float = np.nan
    memory_bytes: float = np.nan
    evaluations: Mapping[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standings:
    """Of one release: hosts that may have it, that only wait for their turn, that gave up on it.

    undelivered: to whom it was offered in vain, so that they say nothing of it.
    """

    reached: frozenset[str]
    waiting: frozenset[str]
    given_up: frozenset[str]
    undelivered: frozenset[str]
    skipped: Mapping[str, frozenset[str]]


@dataclass(slots=True)
class Observation:
    """Everything seen so far.

    crashes: number of the latest report by host and suspect Channel File. detections: how many by
    Channel File and host.
    """

    hosts: dict[str, SeenHost] = field(default_factory=dict)
    crashes: dict[tuple[str, bytes], int] = field(default_factory=dict)
    detections: dict[bytes, Counter[str]] = field(default_factory=dict)
    _crash: int = -1
    _detection: int = -1

    def update(self, connection: Connection, open_ones: Sequence[Stored], now: float) -> None:
        """Read what is new, as far as open rollouts need it."""
        self._hosts(connection, now)
        if self._crash < 0:
            self._crash = min(one.started.after_crash for one in open_ones)
        for number, agent_id, report in _reports(connection, CRASHES, self._crash):
            self._crash = number
            suspect = CrashReport.FromString(report).suspect_content_hash
            self.crashes[agent_id, suspect] = number
        staged = [one.started for one in open_ones if one.rollout.state in STAGES]
        self._count_detections(connection, staged)

    def columns(self, stored: Stored, standings: Standings, now: float) -> Columns:
        """One rollout's evidence, host by host."""
        names = list(self.hosts)
        hosts = [self.hosts[name] for name in names]
        silence = stored.rollout.plan.limits.silence_seconds
        reached = _marks(names, standings.reached)
        recent = np.array([one.live and now - one.heard_at < CONTROL_SECONDS for one in hosts])
        signs = self._signs(names, stored, standings)
        signs[Sign.SILENT] = np.array([now - one.heard_at > silence for one in hosts], dtype=bool)
        return Columns(
            reached=reached,
            control=recent.astype(bool) & ~reached,
            signs=signs,
            evaluation_ns=np.array([one.evaluation_ns for one in hosts], dtype=float),
            memory_bytes=np.array([one.memory_bytes for one in hosts], dtype=float),
            evaluations=self._evaluations(names, stored.started, standings),
            platforms=self._platforms(names, standings, signs[Sign.SILENT]),
        )

    def candidates(
        self,
        stored: Stored,
        standings: Standings,
        seated: frozenset[str],
        policies: Policies,
        now: float,
    ) -> tuple[list[str], Candidates]:
        """Who may get a seat, or has one: hosts that only wait for their turn, and can be heard."""
        has_one = seated | standings.reached
        silence = stored.rollout.plan.limits.silence_seconds
        names = [
            name
            for name, one in self.hosts.items()
            if name in has_one or (name in standings.waiting and now - one.heard_at <= silence)
        ]
        started = stored.started
        rings = [policies.of(name, started.template_type).ring for name in names]
        return names, Candidates(
            rings=np.array([RINGS.index(one) for one in rings], dtype=np.int64),
            platforms=_numbers([self.hosts[name].platform for name in names]),
            lots=np.array([lot(name, started.content_hash) for name in names], dtype=float),
            seated=_marks(names, has_one),
            well=~_marks(names, self._unwell(stored, standings, now)),
        )

    def _unwell(self, stored: Stored, standings: Standings, now: float) -> set[str]:
        silence = stored.rollout.plan.limits.silence_seconds
        silent = {name for name, one in self.hosts.items() if now - one.heard_at > silence}
        died = {agent_id for agent_id, _ in self._crashes_since(stored.started)}
        # Where most hosts lack it, the trouble is not theirs: nobody stands in for all of them, who
        # would get it together once it can be delivered.
        lacking = standings.undelivered
        lacking = lacking if len(lacking) <= len(standings.reached) else frozenset()
        return silent | died | standings.given_up | lacking

    def _crashes_since(self, started: Started) -> set[tuple[str, bytes]]:
        return {key for key, number in self.crashes.items() if number > started.after_crash}

    def _hosts(self, connection: Connection, now: float) -> None:
        seen = connection.execute(select(HOSTS.c.agent_id, HOSTS.c.last_seen_unix_ns)).all()
        first = not self.hosts
        news = []
        for agent_id, last_seen in seen:
            known = self.hosts.get(agent_id)
            if known is None:
                self.hosts[agent_id] = SeenHost(last_seen, now, live=not first)
            elif known.last_seen_unix_ns == last_seen:
                continue
            else:
                known.last_seen_unix_ns, known.heard_at, known.live = last_seen, now, True
            news.append(agent_id)
        for start in range(0, len(news), HOSTS_PER_QUERY):
            some = HOSTS.c.agent_id.in_(news[start : start + HOSTS_PER_QUERY])
            query = select(HOSTS.c.agent_id, HOSTS.c.hello, HOSTS.c.heartbeat).where(some)
            for agent_id, hello, beat in connection.execute(query):
                _learn(self.hosts[agent_id], Hello.FromString(hello), Heartbeat.FromString(beat))

    def _count_detections(self, connection: Connection, starts: Sequence[Started]) -> None:
        """They are read only while a rollout has a gate for them: there may be millions."""
        if not starts:
            self._detection = -1
            return
        if self._detection < 0:
            self._detection = min(one.after_detection for one in starts)
        names = {(one.template_type, one.version): one.content_hash for one in starts}
        for number, agent_id, report in _reports(connection, DETECTIONS, self._detection):
            self._detection = number
            found = Detection.FromString(report)
            name = names.get((found.template_type, found.channel_file_version))
            if name is not None:
                self.detections.setdefault(name, Counter())[agent_id] += 1

    def _signs(
        self, names: Sequence[str], stored: Stored, standings: Standings
    ) -> dict[Sign, np.ndarray[Any, np.dtype[np.bool_]]]:
        started = stored.started
        since = self._crashes_since(started)
        blamed = {agent_id for agent_id, suspect in since if suspect == started.content_hash}
        counts = self.detections.get(started.content_hash, Counter())
        most = stored.rollout.plan.limits.detections
        return {
            Sign.DIED: _marks(names, {agent_id for agent_id, _ in since}),
            Sign.BLAMED: _marks(names, blamed),
            Sign.GIVEN_UP: _marks(names, standings.given_up),
            Sign.NOISY: _marks(names, {name for name, count in counts.items() if count > most}),
        }

    def _evaluations(
        self, names: Sequence[str], started: Started, standings: Standings
    ) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
        whole = np.array(
            [self.hosts[name].evaluations.get(started.content_hash, 0) for name in names],
            dtype=np.int64,
        )
        return {
            instance: np.where(_marks(names, standings.skipped.get(instance, ())), 0, whole)
            for instance in started.new_instances or (WHOLE_FILE,)
        }

    def _platforms(
        self,
        names: Sequence[str],
        standings: Standings,
        silent: np.ndarray[Any, np.dtype[np.bool_]],
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        reached = _marks(names, standings.reached)
        within = reached | (_marks(names, standings.waiting) & ~silent)
        return np.where(within, _numbers([self.hosts[name].platform for name in names]), -1)


HOSTS_PER_QUERY = 500
REPORTS_PER_LOOK = 5_000
LARGEST_COUNT = 2**62
"""More events than that nobody has evaluated; it fits into the columns."""


def standings_of(connection: Connection, content_hash: bytes) -> Standings:
    """Where one release stands on all hosts."""
    query = select(HOST_CONTENT.c.agent_id, HOST_CONTENT.c.standing, HOST_CONTENT.c.refusals)
    reached, waiting, given_up, undelivered = set(), set(), set(), set()
    skipped: dict[str, set[str]] = {}
    for agent_id, standing, text in connection.execute(
        query.where(HOST_CONTENT.c.content_hash == content_hash)
    ):
        refusals = from_text(text)
        if standing == Standing.WITHHELD:
            if any(one.reason == WithheldReason.ROLLOUT_STAGE for one in refusals):
                waiting.add(agent_id)
            continue
        if standing == Standing.UNDELIVERED:
            undelivered.add(agent_id)
            continue
        reached.add(agent_id)
        instances = _skipped(refusals)
        if Standing(standing) in REFUSED or instances:
            given_up.add(agent_id)
        for instance in instances:
            skipped.setdefault(instance, set()).add(agent_id)
    return Standings(
        frozenset(reached),
        frozenset(waiting),
        frozenset(given_up),
        frozenset(undelivered),
        {name: frozenset(agents) for name, agents in skipped.items()},
    )


def platform_of(hello: Hello) -> str:
    """System, architecture, the kernel's series and the rung: what content may depend on."""
    system, _, rest = hello.platform.partition("/")
    architecture, _, release = rest.partition("/")
    series = ".".join(release.split(".")[:2])
    return f"{system}/{architecture}/{series} {hello.rung}"


def _skipped(refusals: Sequence[Refusal]) -> list[str]:
    return [
        one.place.removeprefix(INSTANCE_PLACE)
        for one in refusals
        if one.place.startswith(INSTANCE_PLACE)
    ]


def _learn(host: SeenHost, hello: Hello, beat: Heartbeat) -> None:
    host.platform = platform_of(hello)
    host.evaluation_ns = float(beat.evaluation_ns) or np.nan
    host.memory_bytes = float(beat.evaluator_memory_bytes) or np.nan
    host.evaluations = {
        one.content_hash: min(one.events, LARGEST_COUNT) for one in beat.evaluations
    }


def _reports(connection: Connection, table: Table, after: int) -> list[tuple[int, str, bytes]]:
    query = select(table.c.number, table.c.agent_id, table.c.report).order_by(table.c.number)
    rows = connection.execute(query.where(table.c.number > after).limit(REPORTS_PER_LOOK))
    return [(row[0], row[1], row[2]) for row in rows]


def _marks(
    names: Sequence[str], marked: "frozenset[str] | set[str] | tuple[()]"
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([name in marked for name in names], dtype=np.bool_)


def _numbers(texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    order = {text: number for number, text in enumerate(sorted(set(texts)))}
    return np.array([order[text] for text in texts], dtype=np.int64)
