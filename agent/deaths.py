"""What to do when an evaluator dies: decided here, purely, from what is known. Standard library.

`RULES` is the whole of it, first match first; docs/containment.md has the same table. A suspect is
the Channel File of the event that the evaluator was working on, and the Template Instance, where
the attribution record names one. A death in work on many events or instances at once names less:
the batch is tried again one event at a time, and an *inquest* in a throw-away evaluator finds the
instance on the event (agent.supervisor.inquests); `conclude` says what follows from it.

There is no rule that ends in giving up, and none that repeats itself for ever without getting past
an event, an instance or a file; only kills from outside, at random, are answered for ever with
another start.
"""

from dataclasses import dataclass

from agent.attribution import Phase, Progress
from agent.death_facts import (
    DEATHS_OF_AN_INSTANCE,
    Action,
    Cause,
    Death,
    DeathHistory,
    Decision,
    Finding,
    Named,
)

__all__ = [
    "DEATHS_OF_A_FILE",
    "INQUEST_RULES",
    "RULES",
    "Action",
    "Cause",
    "Death",
    "DeathHistory",
    "Decision",
    "Finding",
    "Rule",
    "conclude",
    "decide",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """When, what then, and what that is called."""

    when: str
    then: str
    action: Action


RULES = (
    Rule("on trial", "reject the file on trial", Action.REJECT_CANDIDATE),
    Rule(
        "killed or stopped by somebody else",
        "start another; a second time on the same batch, one event at a time; the content is "
        "innocent, unless that happens twice at the very same place, or a few times while a file "
        "is on probation",
        Action.RESTART,
    ),
    Rule(
        "the suspect file is on probation, or there is no suspect while files are",
        "back to last known good",
        Action.ROLL_BACK,
    ),
    Rule(
        "event and instance are known, the instance for the second time",
        "quarantine the instance by its digest; all others stay active",
        Action.QUARANTINE_INSTANCE,
    ),
    Rule(
        "event and instance are known, and the instances of this file have killed many evaluators",
        "quarantine the file",
        Action.QUARANTINE,
    ),
    Rule(
        "event and instance are known, the instance for the first time",
        "set the event aside and count it",
        Action.SET_ASIDE,
    ),
    Rule(
        "the event is known, the instance is not",
        "set the event aside, and hold an inquest on it",
        Action.SET_ASIDE,
    ),
    Rule(
        "only the batch is known, and an inquest has named one instance of this file before",
        "quarantine that instance; the batch again, one event at a time; if that kills on an "
        "event where no instance is known, the quarantine is lifted",
        Action.QUARANTINE_INSTANCE,
    ),
    Rule(
        "only the batch is known",
        "the batch again, one event at a time",
        Action.RETRY_WITH_CARE,
    ),
    Rule("nothing is known, a few times in a row", "start another", Action.RESTART),
    Rule(
        "nothing is known, again and again, and they had not loaded their content",
        "find the file that kills whoever loads it, with some files at a time, and quarantine it; "
        "what is known to load stays active",
        Action.DEGRADE,
    ),
    Rule("nothing is known, again and again", "fewer Channel Files", Action.DEGRADE),
)
"""About deaths of evaluators."""

INQUEST_RULES = (
    Rule(
        "an instance is named, and accounts for two deaths",
        "quarantine the instance by its digest; all others stay active",
        Action.QUARANTINE_INSTANCE,
    ),
    Rule(
        "an instance is named, and accounts for one death",
        "remember it; its event is set aside already",
        Action.SET_ASIDE,
    ),
    Rule(
        "not reproducible, or no instance to be found, for the second time with this file",
        "quarantine the file",
        Action.QUARANTINE,
    ),
    Rule(
        "not reproducible, or no instance to be found, for the first time with this file",
        "remember the file; the event is set aside already",
        Action.SET_ASIDE,
    ),
)
"""About what an inquest has found."""

FOREIGN_KILLS_ON_PROBATION = 3
"""SIGKILLs from outside, on other events each, before a file on probation is given up."""

UNEXPLAINED_DEATHS_BEFORE_DEGRADING = 3
"""Deaths in a row without a suspect before fewer Channel Files are tried."""

DEATHS_OF_A_FILE = 16
"""Deaths on instances of one file before it is given up as a whole: so many different instances
are no likely poison, but a record that is not true, or content that damages memory at random."""


def decide(death: Death, history: DeathHistory, stride: int) -> Decision:
    """Apply the rules; updates `history`. stride: bytes per record of the suspect ring."""
    if death.on_trial:
        return Decision(Action.REJECT_CANDIDATE)
    progress = death.progress
    evaluating = death.running and progress.phase is Phase.EVALUATING and progress.count > 0
    suspect = death.files.get(progress.ring, "") if evaluating else ""
    with_care = evaluating and progress.position < history.careful.get(progress.ring, 0)
    if death.foreign_kill and _innocent(death, history, stride, evaluating=evaluating):
        if not evaluating or not (_is_exact(progress) or _same_batch(progress, history)):
            return Decision(Action.RESTART)
        if not with_care or _is_exact(progress):
            return _with_care(progress, history, suspect, stride)
    guilty = _on_probation(death, suspect)
    if guilty:
        return Decision(
            Action.ROLL_BACK,
            hashes=guilty,
            ring=progress.ring if evaluating else 0,
            position=_event_position(progress, stride) if evaluating else 0,
            suspect_hash=guilty[0],
            suspect_instance=progress.instance_id,
            suspect_digest=progress.instance_digest,
        )
    if evaluating and _is_exact(progress):
        return _on_event(progress, history, suspect, stride)
    if evaluating and not with_care:
        return _in_bulk(progress, history, suspect, stride)
    history.unexplained += 1
    if history.unexplained <= UNEXPLAINED_DEATHS_BEFORE_DEGRADING:
        return Decision(Action.RESTART)
    history.unexplained = 0
    return Decision(Action.DEGRADE)


def conclude(finding: Finding, history: DeathHistory) -> Decision:
    """What follows from an inquest, whose event was set aside; updates `history`."""
    if finding.digest:
        named = Named(finding.file, finding.instance, by_inquest=True)
        deaths = history.account(finding.digest, named, finding.deaths)
        enough = deaths >= DEATHS_OF_AN_INSTANCE
        return Decision(
            Action.QUARANTINE_INSTANCE if enough else Action.SET_ASIDE,
            suspect_hash=finding.file,
            suspect_instance=finding.instance,
            suspect_digest=finding.digest,
            deaths=deaths,
        )
    if finding.file in history.blamed:
        return Decision(Action.QUARANTINE, hashes=(finding.file,), suspect_hash=finding.file)
    history.blamed.add(finding.file)
    return Decision(Action.SET_ASIDE, suspect_hash=finding.file)


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
    position = _event_position(progress, stride)
    digest = progress.instance_digest if suspect else ""
    if digest:
        named = Named(suspect, progress.instance_id, by_inquest=False)
        deaths = history.account(digest, named, 1)
        history.of_file[suspect] += 1
        if deaths >= DEATHS_OF_AN_INSTANCE:
            return _quarantined(progress.instance_id, digest, suspect, deaths)
        if history.of_file[suspect] > DEATHS_OF_A_FILE:
            return Decision(Action.QUARANTINE, hashes=(suspect,), suspect_hash=suspect)
    in_batch = not digest and history.in_bulk(progress.ring, position)
    return Decision(
        Action.SET_ASIDE,
        ring=progress.ring,
        position=position,
        count=1,
        suspect_hash=suspect,
        suspect_instance=progress.instance_id,
        suspect_digest=digest,
        inquest=bool(suspect) and not digest,
        deaths=1 + in_batch,
        acquitted=history.acquit(progress.ring) if in_batch else "",
    )


def _in_bulk(progress: Progress, history: DeathHistory, suspect: str, stride: int) -> Decision:
    """A death in work on a whole batch.

    Where an inquest has shown that one instance of this file kills in such work, a successor would
    have to die on the event, as the third, to show it again. If one does, without the instance, it
    was another's doing.
    """
    care = _with_care(progress, history, suspect, stride)
    history.bulk[progress.ring] = (
        progress.position,
        progress.position + progress.count * stride,
    )
    history.presumed.pop(progress.ring, None)
    shown = [
        (digest, named)
        for digest, named in history.instances.items()
        if named.by_inquest and named.file == suspect
    ]
    if len(shown) != 1:
        return care
    ((digest, named),) = shown
    history.presumed[progress.ring] = (digest, named)
    deaths = history.account(digest, named, 1)
    return _quarantined(
        named.instance, digest, suspect, deaths, ring=care.ring, position=care.position
    )


def _quarantined(
    instance: str, digest: str, suspect: str, deaths: int, *, ring: int = 0, position: int = 0
) -> Decision:
    """ring, position: up to where the successor is to take care."""
    return Decision(
        Action.QUARANTINE_INSTANCE,
        ring=ring,
        position=position,
        suspect_hash=suspect,
        suspect_instance=instance,
        suspect_digest=digest,
        deaths=deaths,
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
        suspect_digest=progress.instance_digest,
    )


def _is_exact(progress: Progress) -> bool:
    return progress.row is not None or progress.count == 1


def _event_position(progress: Progress, stride: int) -> int:
    return progress.position + (progress.row or 0) * stride
