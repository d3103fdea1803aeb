"""The words of the rules in agent.deaths: a death, a decision, and what earlier deaths taught.

Pure values; only `DeathHistory` changes. Standard library.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.attribution import Progress

DEATHS_OF_AN_INSTANCE = 2
"""Deaths of workers that an instance accounts for when it is quarantined."""

KEPT_INSTANCES = 256
"""Instances that are remembered for one death."""


class Cause(StrEnum):
    """How an evaluator ended."""

    SIGNAL = "SIGNAL"
    EXIT = "EXIT"
    HEARTBEAT_MISSED = "HEARTBEAT_MISSED"
    PROTOCOL_VIOLATION = "PROTOCOL_VIOLATION"
    FORBIDDEN_CALL = "FORBIDDEN_CALL"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"


class Action(StrEnum):
    """What the supervisor does next."""

    REJECT_CANDIDATE = "REJECTED"
    ROLL_BACK = "ROLLED_BACK"
    QUARANTINE = "QUARANTINED"
    QUARANTINE_INSTANCE = "INSTANCE_QUARANTINED"
    SET_ASIDE = "EVENT_SET_ASIDE"
    RETRY_WITH_CARE = "RESTARTED_WITH_CARE"
    RESTART = "RESTARTED"
    DEGRADE = "DEGRADED"

    @property
    def told(self) -> str:
        """The name in the crash report; its digest says that the quarantine is of an instance."""
        return str(Action.QUARANTINE if self is Action.QUARANTINE_INSTANCE else self)


@dataclass(frozen=True, slots=True)
class Death:
    """The end of an evaluator.

    foreign_kill: a SIGKILL that is not ours (an operator's, or the out-of-memory killer's), or ours
        to one that was silent because others had stopped it.
    files: Template Type number → content hash of what it had loaded.
    """

    cause: Cause
    signal: int
    on_trial: bool
    running: bool
    foreign_kill: bool
    progress: Progress
    files: Mapping[int, str]
    probation: frozenset[str]


@dataclass(frozen=True, slots=True)
class Decision:
    """An action and what it applies to: content hashes, an instance, or one ring's position.

    suspect_digest: of the suspect instance, hexadecimal; empty where it is not known.
    inquest: whether one is to be held on the event at `position`.
    deaths: how many deaths of workers the suspect instance accounts for, or would.
    acquitted: digest of an instance that was quarantined for a death that was another one's.
    """

    action: Action
    hashes: tuple[str, ...] = ()
    ring: int = 0
    position: int = 0
    count: int = 0
    suspect_hash: str = ""
    suspect_instance: str = ""
    suspect_digest: str = ""
    inquest: bool = False
    deaths: int = 0
    acquitted: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What an inquest came to. digest: of the instance, hexadecimal; empty if none was found.

    deaths: of workers, on this event and in the batch that it was in.
    """

    file: str
    deaths: int
    digest: str = ""
    instance: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """An instance that an evaluator has died of: its file, its id, and who said so."""

    file: str
    instance: str
    by_inquest: bool


@dataclass(slots=True)
class DeathHistory:
    """What earlier deaths taught. All but `instances` since the set of Channel Files last changed.

    instances: digest → an instance that accounts for one death, in whatever file it came.
    blamed: content hashes that an evaluator has died on, and no instance was found.
    of_file: content hash → deaths on instances of it.
    careful: ring → position in bytes below which events were to be evaluated one by one.
    bulk: ring → where the batch lies that an evaluator died in, at an event not known yet.
    presumed: ring → the instance that this death was put down to, on what was known before.
    foreign_place: where the last kill from outside met an evaluator: the exact event (ring and
    position), or the phase before it had any.
    """

    instances: dict[str, Named] = field(default_factory=dict)
    blamed: set[str] = field(default_factory=set)
    of_file: Counter[str] = field(default_factory=Counter)
    careful: dict[int, int] = field(default_factory=dict)
    bulk: dict[int, tuple[int, int]] = field(default_factory=dict)
    presumed: dict[int, tuple[str, Named]] = field(default_factory=dict)
    foreign_place: tuple[int, int] | None = None
    foreign_batch: tuple[int, int] | None = None
    foreign_kills: int = 0
    unexplained: int = 0

    def forget(self) -> None:
        """The set of Channel Files has changed."""
        self.blamed.clear()
        self.of_file.clear()
        self.careful.clear()
        self.bulk.clear()
        self.presumed.clear()
        self.calm()

    def calm(self) -> None:
        """All went well for a while: what has no suspect is not in a row any more."""
        self.foreign_place = None
        self.foreign_batch = None
        self.foreign_kills = 0
        self.unexplained = 0

    def rings_changed(self) -> None:
        """Positions count from zero again."""
        self.careful.clear()
        self.bulk.clear()
        self.presumed.clear()
        self.foreign_place = None
        self.foreign_batch = None

    def in_bulk(self, ring: int, position: int) -> bool:
        """Whether a death on an event is the one of the batch again; it is only once."""
        start, end = self.bulk.get(ring, (0, 0))
        if not start <= position < end:
            return False
        del self.bulk[ring]
        return True

    def acquit(self, ring: int) -> str:
        """The batch killed without the instance that was presumed to: its digest, or empty."""
        digest, named = self.presumed.pop(ring, ("", None))
        if named is not None:
            self.instances[digest] = named
        return digest

    def pardon(self, digest: str) -> None:
        """An operator has lifted a quarantine: its deaths count from zero."""
        self.instances.pop(digest, None)

    def account(self, digest: str, named: Named, deaths: int) -> int:
        """Deaths that an instance accounts for now; whoever is quarantined is forgotten here."""
        so_far = deaths + (self.instances.pop(digest, None) is not None)
        if so_far < DEATHS_OF_AN_INSTANCE:
            self.instances[digest] = named
            for oldest in list(self.instances)[:-KEPT_INSTANCES]:
                del self.instances[oldest]
        return so_far
