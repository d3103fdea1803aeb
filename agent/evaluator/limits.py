"""Every limit of the evaluator in one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EvaluatorLimits:
    """Counts, bytes and seconds; named with their unit."""

    batch_records: int = 4096
    # A busy host is polled often for latency, an idle one rarely for its battery.
    poll_busy_seconds: float = 0.002
    poll_idle_seconds: float = 0.020
    # How many empty polls double the wait from busy to idle.
    poll_growth: float = 1.5
    heartbeat_seconds: float = 0.2
    # Leaves room for the frame's header within a datagram (agent.channel.LIMITS).
    frame_payload_bytes: int = 112 * 1024
    send_timeout_seconds: float = 10.0
    shadow_records: int = 2048
    shadow_budget_microseconds_per_event: float = 200.0


LIMITS = EvaluatorLimits()
