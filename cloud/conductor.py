"""Looks at rollouts several times a second, and stores what the engine makes of them.

    1. read what is new of hosts and reports (`cloud.observation`)
    2. give seats to hosts whose turn it is in this stage
    3. let the engine look: the same functions that the simulation runs
    4. store a new state at once, with its audit entry and, after a halt, the rollback order;
       how far a stage has come, every few seconds

Whoever holds the catalogue notices the commit and decides anew for every session, so that a halt is
an end of offers within a fraction of a second. While this does not run, nothing bakes and nothing
advances.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection

from cloud import journal
from cloud.limits import CloudLimits
from cloud.observation import Observation, standings_of
from cloud.rollout.engine import Rollout, look
from cloud.rollout.evidence import collect
from cloud.rollout.seats import draw
from cloud.rollout.table import STAGES, State
from cloud.store import audit, policies, rollouts
from cloud.store.database import Database
from cloud.store.rollouts import Stored

Outcomes = list[Callable[[Connection], None]]


@dataclass(slots=True)
class _Held:
    """A rollout as the last look left it, which the store learns of now and then."""

    revision: int
    rollout: Rollout
    looked_at: float
    noted_at: float = 0.0


class Conductor:
    """One per serving process; `look` is called from one thread at a time."""

    def __init__(
        self,
        database: Database,
        limits: CloudLimits,
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._database = database
        self._limits = limits
        self._clock = clock
        self._wall_ns = wall_ns
        self._observation: Observation | None = None
        self._held: dict[bytes, _Held] = {}

    def look(self) -> Outcomes:
        """What is to be stored now, as jobs for the writer; StoreError where the store refuses."""
        now = self._clock()
        with self._database.reading() as connection:
            open_ones = _open(rollouts.all_rollouts(connection))
            if not open_ones:
                self._observation, self._held = None, {}
                return []
            due = [one for one in open_ones if self._is_due(one, now)]
            if not due:
                return []
            if self._observation is None:
                self._observation = Observation()
            self._observation.update(connection, open_ones, now)
            wanted = policies.read(connection)
            seats = rollouts.seats(connection)
            jobs: Outcomes = []
            for stored in due:
                seated = seats.get(stored.started.content_hash, frozenset())
                jobs += self._look_at(connection, stored, seated, wanted, now)
        return jobs

    def _is_due(self, stored: Stored, now: float) -> bool:
        held = self._held.get(stored.started.content_hash)
        if held is None or stored.rollout.state in STAGES:
            return True
        return now - held.looked_at >= self._limits.rollout_watch_seconds

    def _look_at(
        self,
        connection: Connection,
        stored: Stored,
        seated: frozenset[str],
        wanted: policies.Policies,
        now: float,
    ) -> Outcomes:
        observation = self._observation
        if observation is None:
            return []
        name = stored.started.content_hash
        standings = standings_of(connection, name)
        held = self._hold(stored, now)
        names, candidates = observation.candidates(stored, standings, seated, wanted, now)
        jobs: Outcomes = []
        state = held.rollout.state
        if state in STAGES and names and held.rollout.offers:
            chosen = draw(state, candidates, held.rollout.plan)
            if new := [names[index] for index in np.flatnonzero(chosen)]:
                seated |= frozenset(new)
                jobs.append(lambda store: rollouts.add_seats(store, name, new))
        needed = held.rollout.plan.stages[state].evaluations if state in STAGES else 0
        columns = observation.columns(stored, standings, now)
        evidence = collect(
            columns, len(seated | standings.reached), needed, held.rollout.plan.limits
        )
        before = held.rollout
        held.rollout = look(
            before, evidence, now - held.looked_at, self._wall_ns() / rollouts.NANOSECONDS
        )
        held.looked_at = now
        return jobs + self._outcome(stored, before, held, now)

    def _hold(self, stored: Stored, now: float) -> _Held:
        """What we know of it, unless somebody else has changed its state."""
        name = stored.started.content_hash
        held = self._held.get(name)
        if held is None or held.revision != stored.revision:
            held = self._held[name] = _Held(stored.revision, stored.rollout, now)
        return held

    def _outcome(self, stored: Stored, before: Rollout, held: _Held, now: float) -> Outcomes:
        after, now_ns = held.rollout, self._wall_ns()
        if after.state is not stored.rollout.state:
            held.revision = -1  # what is stored counts from now on, whoever stores it
            journal.info(
                f"rollout_{after.state}", content=stored.started.subject, reason=after.reason
            )
            action = "halt" if after.state is State.HALTED else "advance"
            gates = {one.gate: f"{one.outcome}: {one.found}" for one in before.verdicts}
            return [
                lambda store: rollouts.change(
                    store, stored, after, audit.ENGINE, action, now_ns, gates=gates
                )
            ]
        outcomes = [one.outcome for one in after.verdicts]
        news = outcomes != [one.outcome for one in before.verdicts]
        if not news and now - held.noted_at < self._limits.rollout_note_seconds:
            return []
        held.noted_at = now
        return [lambda store: rollouts.note_look(store, stored, after, now_ns)]


def _open(known: tuple[Stored, ...]) -> list[Stored]:
    """Rollouts that can still change: those with stages left, and what hosts may still run.

    A version older than a complete one of its Template Type is nobody's newest any more.
    """
    complete: dict[int, int] = {}
    for one in known:
        if one.rollout.state is State.COMPLETE:
            number = one.started.template_type
            complete[number] = max(complete.get(number, 0), one.started.version)
    return [
        one
        for one in known
        if one.rollout.plan.gated
        and one.rollout.state is not State.HALTED
        and one.started.version >= complete.get(one.started.template_type, 0)
    ]
