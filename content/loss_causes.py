"""The causes of loss: why something is missing, what one count of it stands for, and its meaning.

One table for all who count: probes in the kernel's maps, the supervisor in its ledger, the link in
its outbox. Sensor and cloud read from it what is an event that nobody evaluated and what is less
than that. docs/losses.md holds the same table. Standard library only: the supervisor imports it.
"""

from enum import StrEnum
from typing import Self


class Missing(StrEnum):
    """What one count of a loss stands for."""

    EVENT = "an event"
    PERHAPS_EVENT = "at most an event"
    FIELD = "a field of an event"
    LINEAGE = "what is known of a process"
    MATCH = "an instance on an event"
    DETECTION = "a detection or report"
    TIME = "a stretch of time"
    POLL = "a look"
    NOTHING = "an event that waited"


class LossCause(StrEnum):
    """Why something is missing, or late, in what the sensor should have seen and said."""

    missing: Missing
    meaning: str

    def __new__(cls, name: str, missing: Missing, meaning: str) -> Self:
        """A string with what is missing and why."""
        cause = str.__new__(cls, name)
        cause._value_ = name
        cause.missing = missing
        cause.meaning = meaning
        return cause

    RING_FULL = "RING_FULL", Missing.EVENT, "the ring had no room: nobody had read for too long"
    FLOOD = (
        "FLOOD",
        Missing.EVENT,
        "the ring filled up, and what was left of it was kept for other processes",
    )
    PENDING_FULL = "PENDING_FULL", Missing.EVENT, "the map of calls under way had no room"
    SUSPECT_EVENT = "SUSPECT_EVENT", Missing.EVENT, "an evaluator died on it, and it was set aside"
    NOT_EVALUATED = "NOT_EVALUATED", Missing.EVENT, "an evaluator stepped over it"
    NOT_JUDGED = (
        "NOT_JUDGED",
        Missing.EVENT,
        "a process that ran already when collection began was not put to content",
    )
    COLLECTION_ENDED = (
        "COLLECTION_ENDED",
        Missing.EVENT,
        "it was in a ring that was given up with its collector",
    )
    WRONG_HEADER = "WRONG_HEADER", Missing.EVENT, "a record while recording that was none"
    PROBE_SKIPPED = (
        "PROBE_SKIPPED",
        Missing.PERHAPS_EVENT,
        "the kernel did not run a probe: it was inside another BPF map operation there",
    )
    FAMILY_UNKNOWN = (
        "FAMILY_UNKNOWN",
        Missing.PERHAPS_EVENT,
        "rung bpf_tracepoint could not say whether a call's socket is IP or UNIX",
    )
    NOTIFICATION_LOST = (
        "NOTIFICATION_LOST",
        Missing.PERHAPS_EVENT,
        "rung process_connector did not receive what the kernel sent",
    )
    READ_FAULT = "READ_FAULT", Missing.FIELD, "a text of the process's memory could not be read"
    FIELD_TRUNCATED = "FIELD_TRUNCATED", Missing.FIELD, "the value was longer than the record holds"
    LINEAGE_FULL = "LINEAGE_FULL", Missing.LINEAGE, "the map of processes had no room"
    SEED_FULL = "SEED_FULL", Missing.LINEAGE, "the same, for a process older than the sensor"
    INSTANCE_SKIPPED = (
        "INSTANCE_SKIPPED",
        Missing.MATCH,
        "an instance that is skipped might have matched",
    )
    REPORTS_FULL = "REPORTS_FULL", Missing.DETECTION, "too many waited for the link"
    OUTBOX_FULL = "OUTBOX_FULL", Missing.DETECTION, "too many waited for the cloud"
    OUTBOX_DAMAGED = (
        "OUTBOX_DAMAGED",
        Missing.DETECTION,
        "the outbox could not be read; count unknown",
    )
    MALFORMED_REPORT = "MALFORMED_REPORT", Missing.DETECTION, "the link could not read it"
    REFUSED_BY_CLOUD = "REFUSED_BY_CLOUD", Missing.DETECTION, "the cloud called it invalid"
    BEFORE_SENSOR = "BEFORE_SENSOR", Missing.TIME, "from boot until this run began to collect"
    NOT_COLLECTED = (
        "NOT_COLLECTED",
        Missing.TIME,
        "probes of the Template Type were not attached: nothing needed them, or they were refused",
    )
    COLLECTION_GAP = "COLLECTION_GAP", Missing.TIME, "from a collector's death to its successor"
    POLL_GAP = "POLL_GAP", Missing.POLL, "a polling collector came late"
    EVALUATOR_DOWN = (
        "EVALUATOR_DOWN",
        Missing.NOTHING,
        "no evaluator was there; its successor evaluated the event",
    )


def counts_as_lost(cause: str) -> bool:
    """Whether each count is an event that nobody evaluated, or whose detection nobody learns of.

    Of a cause that is unknown here (of a newer sensor) the worst is assumed.
    """
    if cause not in LossCause.__members__:
        return True
    return LossCause[cause].missing in (Missing.EVENT, Missing.DETECTION)


def missing(cause: str) -> str:
    """What one count stands for, in words; `unknown` for a cause that is not in the table."""
    return str(LossCause[cause].missing) if cause in LossCause.__members__ else "unknown"
