"""Every limit of the evaluator in one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EvaluatorLimits:
    """Counts, bytes and seconds; named with their unit."""

    batch_records: int = 4096
    # While there are events they are looked for often, for latency; on an idle host rarely, for its
    # battery: a wake-up alone costs some 50 microseconds of processor time in a virtual machine.
    # But a burst may begin on an idle host: a ring must hold what comes until the next look
    # (probes/limits.py), which in 100 milliseconds would be too much.
    poll_busy_seconds: float = 0.015
    poll_idle_seconds: float = 0.025
    # What an empty look multiplies the wait with, on the way from busy to idle.
    poll_growth: float = 1.5
    # How far events without a detection have come is told after this long, or so many of them; a
    # successor evaluates again what was not told. Far less than what the supervisor waits for when
    # it stops.
    progress_seconds: float = 0.25
    progress_records: int = 512
    # Where there is no progress to tell. Far less than the silence that means death.
    heartbeat_seconds: float = 0.5
    # Leaves room for the frame's header within a datagram (agent.channel.LIMITS).
    frame_payload_bytes: int = 112 * 1024
    send_timeout_seconds: float = 10.0
    shadow_records: int = 2048
    shadow_budget_microseconds_per_event: float = 200.0


LIMITS = EvaluatorLimits()
