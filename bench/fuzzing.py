"""How much hostile input does fuzzing try, how far does it get, and what does it find?"""

import sys

from bench.harness import Figure, run
from tests.fuzz import campaign
from tests.fuzz.campaign import Outcome

SECONDS = 60
QUICK_SECONDS = 1
"""Of each target, one after the other, its start included; each begins from its seeds alone."""


def measure(*, quick: bool) -> list[Figure]:
    """Executions, their rate and the edges taken, by target, and all findings."""
    seconds = QUICK_SECONDS if quick else SECONDS
    outcomes = [campaign.afresh_for_seconds(name, seconds) for name in campaign.names()]
    figures = [figure for outcome in outcomes for figure in _of(outcome)]
    executions = sum(outcome.executions for outcome in outcomes)
    findings = sum(outcome.failed for outcome in outcomes)
    return [
        *figures,
        Figure("fuzzing, all targets", executions, "executions"),
        Figure("targets with a crash, a hang or a broken promise", findings, "targets", bar="= 0"),
    ]


def _of(outcome: Outcome) -> list[Figure]:
    name = f"fuzzing, {outcome.name}"
    return [
        Figure(name, outcome.executions, "executions", bar=">= 1"),
        Figure(f"{name}, rate", outcome.per_second, "executions/s"),
        Figure(f"{name}, reached", outcome.edges, "edges of Python"),
    ]


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
