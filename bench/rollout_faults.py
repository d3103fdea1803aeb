"""Kinds of faulty content for the simulation of rollouts, and what they do to hosts."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

MINUTE = 60.0


class Kind(StrEnum):
    """What is wrong with the content."""

    NOTHING = "nothing"
    JULY_2024 = "kills the host at the first event, no report (July 2024)"
    CRASH = "evaluator crashes at once"
    PLATFORM = "evaluator crashes on one platform only"
    LATER = "evaluator crashes after 5 to 25 minutes"
    SLOW = "150 to 1,000 times as slow"
    MEMORY = "512 MiB and more of memory within 10 minutes"
    FLOOD = "floods of detections"
    SILENT = "host hangs without a report"
    REFUSED = "refused by every sensor's trial"


@dataclass(frozen=True, slots=True)
class Fault:
    """One piece of faulty content."""

    kind: Kind


GOOD = Fault(Kind.NOTHING)
FAULTY = tuple(Fault(kind) for kind in Kind if kind is not Kind.NOTHING)


@dataclass(slots=True)
class Harm:
    """One fault on one fleet: when it begins on each host after the content became active there."""

    fault: Fault
    victims: NDArray[np.bool_]
    after: NDArray[np.float32]
    strength: float

    @classmethod
    def draw(
        cls, fault: Fault, platforms: NDArray[np.int64], random: np.random.Generator
    ) -> "Harm":
        """Whom it will meet, when, and how badly."""
        hosts = len(platforms)
        victims = np.ones(hosts, dtype=np.bool_)
        if fault.kind is Kind.PLATFORM:
            victims = platforms == random.integers(0, int(platforms.max()) + 1)
        low, high = (5 * MINUTE, 25 * MINUTE) if fault.kind is Kind.LATER else (0.0, 30.0)
        after = random.uniform(low, high, hosts).astype(np.float32)
        strength = float(random.uniform(150, 1_000))
        return cls(fault, victims, after, strength)
