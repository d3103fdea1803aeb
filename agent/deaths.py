"""What to do when an evaluator dies: decided here, purely, from what is known. Standard library.

The rules, first match first:

    1. on trial                          → reject the file on trial
    2. killed by somebody else           → restart, the batch again with care: content is innocent,
                                           unless that happens twice on the very same event, or
                                           a few times while a file is on probation
    3. suspect file on probation, or no suspect while files are on probation
                                         → back to last known good
    4. same file blamed on another event → quarantine the file
    5. the exact event is known          → set the event aside, restart
    6. only the batch is known           → restart, that batch again one event at a time
    7. no suspect, a few times           → restart
    8. no suspect, again and again       → fewer Channel Files

There is no rule that ends in giving up.
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

    blamed: content hash → (ring, position) of the exact event that it last died on.
    foreign_event: the exact event of the last kill from outside.
    """

    blamed: dict[str, tuple[int, int]] = field(default_factory=dict)
    foreign_event: tuple[int, int] | None = None
    foreign_kills: int = 0
    unexplained: int = 0

    def forget(self) -> None:
        """The set of Channel Files has changed, or all went well for a while."""
        self.blamed.clear()
        self.foreign_event = None
        self.foreign_kills = 0
        self.unexplained = 0


def decide(death: Death, history: DeathHistory, stride: int) -> Decision:
    """Apply the rules; updates `history`. stride: bytes per record of the suspect ring."""
    if death.on_trial:  # 1
        return Decision(Action.REJECT_CANDIDATE)
    progress = death.progress
    evaluating = death.running and progress.phase is Phase.EVALUATING and progress.count > 0
    suspect = death.files.get(progress.ring, "") if evaluating else ""
    if death.foreign_kill and _innocent(death, history, stride, evaluating=evaluating):  # 2
        return _with_care(progress, stride, suspect) if evaluating else Decision(Action.RESTART)
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
    if evaluating:
        return _on_suspect(progress, history, suspect, stride)  # 4, 5, 6
    history.unexplained += 1
    if history.unexplained <= UNEXPLAINED_DEATHS_BEFORE_DEGRADING:  # 7
        return Decision(Action.RESTART)
    history.unexplained = 0
    return Decision(Action.DEGRADE)  # 8


def _innocent(death: Death, history: DeathHistory, stride: int, *, evaluating: bool) -> bool:
    """Whether a kill from outside says nothing about content; remembers it."""
    history.foreign_kills += 1
    exact = evaluating and _is_exact(death.progress)
    event = (death.progress.ring, _event_position(death.progress, stride)) if exact else None
    repeated = event is not None and event == history.foreign_event
    history.foreign_event = event
    often = bool(death.probation) and history.foreign_kills >= FOREIGN_KILLS_ON_PROBATION
    return not repeated and not often


def _on_probation(death: Death, suspect: str) -> tuple[str, ...]:
    if suspect:
        return (suspect,) if suspect in death.probation else ()
    return tuple(sorted(death.probation & set(death.files.values())))


def _on_suspect(progress: Progress, history: DeathHistory, suspect: str, stride: int) -> Decision:
    if not _is_exact(progress):  # 6
        return _with_care(progress, stride, suspect)
    event = (progress.ring, _event_position(progress, stride))
    earlier = history.blamed.get(suspect)
    if suspect and earlier is not None and earlier != event:  # 4
        return Decision(
            Action.QUARANTINE,
            hashes=(suspect,),
            suspect_hash=suspect,
            suspect_instance=progress.instance_id,
        )
    history.blamed[suspect] = event  # 5
    return Decision(
        Action.SET_ASIDE,
        ring=event[0],
        position=event[1],
        count=1,
        suspect_hash=suspect,
        suspect_instance=progress.instance_id,
    )


def _with_care(progress: Progress, stride: int, suspect: str) -> Decision:
    return Decision(
        Action.RETRY_WITH_CARE,
        ring=progress.ring,
        position=progress.position + progress.count * stride,
        count=progress.count,
        suspect_hash=suspect,
        suspect_instance=progress.instance_id,
    )


def _is_exact(progress: Progress) -> bool:
    return progress.row is not None or progress.count == 1


def _event_position(progress: Progress, stride: int) -> int:
    return progress.position + (progress.row or 0) * stride
