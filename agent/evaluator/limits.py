"""Every limit of the evaluator in one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EvaluatorLimits:
    """Counts, bytes and seconds; named with their unit."""

    batch_records: int = 4096
    # While there are events they are looked for often, for latency. A burst may begin where there
    # are few: a ring must hold what comes until the next look (probes/limits.py).
    poll_busy_seconds: float = 0.015
    poll_idle_seconds: float = 0.025
    # After so long without one the evaluator sleeps until the kernel wakes it, for the battery of
    # an idle host: a look alone costs some 50 microseconds in a virtual machine. To be woken costs
    # the one who causes the event a microsecond or more, so not much less.
    awake_seconds: float = 0.25
    # What an empty look multiplies the wait with, on the way from busy to idle.
    poll_growth: float = 1.5
    # How far events without a detection have come is told after this long, or so many of them; a
    # successor evaluates again what was not told. Far less than what the supervisor waits for when
    # it stops.
    progress_seconds: float = 0.25
    progress_records: int = 512
    # Where there is no progress to tell. Far less than the silence that means death.
    heartbeat_seconds: float = 0.5
    # And with what it costs at least so often, however much else there is to tell.
    facts_seconds: float = 2.0
    # Leaves room for the frame's header within a datagram (agent.channel.LIMITS).
    frame_payload_bytes: int = 112 * 1024
    send_timeout_seconds: float = 10.0
    shadow_records: int = 2048
    shadow_budget_microseconds_per_event: float = 200.0


LIMITS = EvaluatorLimits()
