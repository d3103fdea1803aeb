"""`python -m lab.boot.patient FACTOR …`: the supervisor with time limits FACTOR times longer.

On emulated processors the sensor's limits would end what is only slow: a collector that compiles
its probes for a minute, an evaluator that is loading. This is the shipped supervisor otherwise, and
a laboratory with real processors does without it. Limits are replaced before anybody has read them.
"""

import sys
from dataclasses import asdict, replace

from agent.supervisor import limits
from agent.supervisor.limits import SupervisorLimits

PATIENT = (
    "load_seconds",
    "trial_seconds",
    "heartbeat_seconds",
    "drain_seconds",
    "stop_seconds",
    "collector_seconds",
    "collector_silence_seconds",
    "ready_seconds",
)
"""Limits after which something is ended or given up for its slowness. What sets a pace stays."""


def longer(shipped: SupervisorLimits, factor: float) -> SupervisorLimits:
    """The limits with more time for what may be slow."""
    values = asdict(shipped)
    return replace(shipped, **{name: values[name] * factor for name in PATIENT})


def main() -> int:
    """Be the supervisor."""
    limits.LIMITS = longer(limits.LIMITS, float(sys.argv[1]))
    from agent.supervisor.__main__ import main as supervisor  # noqa: PLC0415 — not before that

    del sys.argv[1]
    return supervisor()


if __name__ == "__main__":
    sys.exit(main())
