"""What to do when an evaluator dies: decided here, purely, from what is known. Standard library.

The rules, first match first:

    1. on trial                          → reject the file on trial
    2. killed by somebody else           → restart; a second time on the same batch, with care:
                                           content is innocent, unless that happens twice at the
                                           very same place, or a few times while a file is on
                                           probation
    3. suspect file on probation, or no suspect while files are on probation
                                         → back to last known good
    4. same file blamed again            → quarantine the file
    5. the exact event is known          → set the event aside, restart
    6. only the batch is known           → restart, that batch again one event at a time
    7. no suspect, a few times in a row  → restart
    8. no suspect, again and again       → fewer Channel Files

There is no rule that ends in giving up, and none that repeats itself for ever without getting past
an event or a file; only kills from outside, at random, are answered for ever with another start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.attribution import Phase, Progress


class Cause(StrEnum):
    """How an evaluator ended."""

    SIGNAL = "SIGNAL"
    EXIT = "EXIT"
    HEARTBEAT_MISSED = "HEARTBEAT_MISSED"
    PROTOCOL_VIOLATION = "PROTOCOL_VIOLATION"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"


class Action(StrEnum):
    """What the supervisor does next; the name is in the crash report."""

    REJECT_CANDIDATE = "REJECTED"
    ROLL_BACK = "ROLLED_BACK"
    QUARANTINE = "QUARANTINED"
    SET_ASIDE = "EVENT_SET_ASIDE"
    RETRY_WITH_CARE = "RESTARTED_WITH_CARE"
    RESTART = "RESTARTED"
    DEGRADE = "DEGRADED"


FOREIGN_KILLS_ON_PROBATION = 3
"""SIGKILLs from outside, on other events each, before a file on probation is given up."""

UNEXPLAINED_DEATHS_BEFORE_DEGRADING = 3
"""Deaths in a row without a suspect before fewer Channel Files are tried."""


@dataclass(frozen=True, slots=True)
class Death:
    """The end of an evaluator.

    foreign_kill: a SIGKILL that is not ours (an operator's, or the out-of-memory killer's).
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
    """An action and what it applies to: content hashes, or one ring's position."""

    action: Action
    hashes: tuple[str, ...] = ()
    ring: int = 0
    position: int = 0
    count: int = 0
    suspect_hash: str = ""
    suspect_instance: str = ""


@dataclass(slots=True)
class DeathHistory:
    """What earlier deaths taught, since the set of Channel Files last changed.

    blamed: content hashes that an evaluator has died on, one event each, which was set aside.
    careful: ring → position in bytes below which events were to be evaluated one by one.
    foreign_place: where the last kill from outside met an evaluator: the exact event (ring and
    position), or the phase before it had any.
    """

    blamed: set[str] = field(default_factory=set)
    careful: dict[int, int] = field(default_factory=dict)
    foreign_place: tuple[int, int] | None = None
    foreign_batch: tuple[int, int] | None = None
    foreign_kills: int = 0
    unexplained: int = 0

    def forget(self) -> None:
        """The set of Channel Files has changed."""
        self.blamed.clear()
        self.careful.clear()
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
        self.foreign_place = None
        self.foreign_batch = None


def decide(death: Death, history: DeathHistory, stride: int) -> Decision:
    """Apply the rules; updates `history`. stride: bytes per record of the suspect ring."""
    if death.on_trial:  # 1
        return Decision(Action.REJECT_CANDIDATE)
    progress = death.progress
    evaluating = death.running and progress.phase is Phase.EVALUATING and progress.count > 0
    suspect = death.files.get(progress.ring, "") if evaluating else ""
    with_care = evaluating and progress.position < history.careful.get(progress.ring, 0)
    if death.foreign_kill and _innocent(death, history, stride, evaluating=evaluating):  # 2
        if not evaluating or not (_is_exact(progress) or _same_batch(progress, history)):
            return Decision(Action.RESTART)
        if not with_care or _is_exact(progress):
            return _with_care(progress, history, suspect, stride)
    guilty = _on_probation(death, suspect)
    if guilty:  # 3
        return Decision(
            Action.ROLL_BACK,
            hashes=guilty,
            ring=progress.ring if evaluating else 0,
            position=_event_position(progress, stride) if evaluating else 0,
            suspect_hash=guilty[0],
            suspect_instance=progress.instance_id,
        )
    if evaluating and _is_exact(progress):
        return _on_event(progress, history, suspect, stride)  # 4, 5
    if evaluating and not with_care:  # 6
        return _with_care(progress, history, suspect, stride)
    history.unexplained += 1
    if history.unexplained <= UNEXPLAINED_DEATHS_BEFORE_DEGRADING:  # 7
        return Decision(Action.RESTART)
    history.unexplained = 0
    return Decision(Action.DEGRADE)  # 8


def _innocent(death: Death, history: DeathHistory, stride: int, *, evaluating: bool) -> bool:
    """Whether a kill from outside says nothing about content; remembers it."""
    progress, place = death.progress, None
    if evaluating and _is_exact(progress):
        place = (progress.ring, _event_position(progress, stride))
    elif not evaluating and progress.phase is not Phase.IDLE:
        place = (0, progress.phase)
    history.foreign_kills += 1
    repeated = place is not None and place == history.foreign_place
    history.foreign_place = place
    often = bool(death.probation) and history.foreign_kills >= FOREIGN_KILLS_ON_PROBATION
    return not repeated and not often


def _same_batch(progress: Progress, history: DeathHistory) -> bool:
    """Whether the last kill from outside met a batch that began at the same event.

    Care costs time, and a single kill says nothing: only the second one is worth it.
    """
    before, history.foreign_batch = history.foreign_batch, (progress.ring, progress.position)
    return history.foreign_batch == before


def _on_probation(death: Death, suspect: str) -> tuple[str, ...]:
    if suspect:
        return (suspect,) if suspect in death.probation else ()
    return tuple(sorted(death.probation & set(death.files.values())))


def _on_event(progress: Progress, history: DeathHistory, suspect: str, stride: int) -> Decision:
    history.unexplained = 0
    if suspect in history.blamed:  # 4
        return Decision(
            Action.QUARANTINE,
            hashes=(suspect,),
            suspect_hash=suspect,
            suspect_instance=progress.instance_id,
        )
    if suspect:
        history.blamed.add(suspect)
    return Decision(  # 5
        Action.SET_ASIDE,
        ring=progress.ring,
        position=_event_position(progress, stride),
        count=1,
        suspect_hash=suspect,
        suspect_instance=progress.instance_id,
    )


def _with_care(progress: Progress, history: DeathHistory, suspect: str, stride: int) -> Decision:
    history.unexplained = 0
    asked = history.careful.get(progress.ring, 0)
    end = max(asked, progress.position + progress.count * stride)
    history.careful[progress.ring] = end
    return Decision(
        Action.RETRY_WITH_CARE,
        ring=progress.ring,
        position=end,
        count=progress.count,
        suspect_hash=suspect,
        suspect_instance=progress.instance_id,
    )


def _is_exact(progress: Progress) -> bool:
    return progress.row is not None or progress.count == 1


def _event_position(progress: Progress, stride: int) -> int:
    return progress.position + (progress.row or 0) * stride
