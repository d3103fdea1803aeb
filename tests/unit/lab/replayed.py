"""An ablation as July 2024 went, without carrying it out."""

from datetime import date

from lab.ablation.replay import Outcome
from lab.ablation.safeguards import Combination, Safeguard, every_combination

HOSTS = 1_000
FIRST_STAGE = 10
IN_ORDER = (
    Safeguard.BUILD_CHECK,
    Safeguard.FIELD_TESTS,
    Safeguard.VALIDATOR,
    Safeguard.BOUNDS_CHECK,
    Safeguard.TRIAL,
)


def outcomes() -> list[Outcome]:
    """One for each combination."""
    return [_outcome(one) for one in every_combination()]


def _outcome(combination: Combination) -> Outcome:
    for one in IN_ORDER:
        if one in combination:
            return Outcome(combination, HOSTS, 0, 0, one, date(2024, 3, 5), "A_REASON")
    if Safeguard.STAGES in combination:
        day = date(2024, 7, 19)
        return Outcome(combination, HOSTS, FIRST_STAGE, FIRST_STAGE, Safeguard.STAGES, day)
    return Outcome(combination, HOSTS, HOSTS, HOSTS)
