"""The six safeguards, one for each finding of the root cause analysis (docs/incident.md).

They are switches of the laboratory's pipeline alone: the product has all of them, always.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import combinations


class Safeguard(StrEnum):
    """What was missing in July 2024, in the order of the findings."""

    BUILD_CHECK = "build check"
    BOUNDS_CHECK = "run-time bounds check"
    FIELD_TESTS = "per-field tests"
    VALIDATOR = "validator"
    TRIAL = "interpreter trial"
    STAGES = "staged rollout"

    @property
    def finding(self) -> int:
        """Number of the finding that it answers, 1 to 6."""
        return list(Safeguard).index(self) + 1


Combination = frozenset[Safeguard]


def every_combination() -> Iterator[Combination]:
    """All 64, from none to all six."""
    for count in range(len(Safeguard) + 1):
        for chosen in combinations(Safeguard, count):
            yield frozenset(chosen)
