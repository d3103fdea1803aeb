"""Fuzz: all targets, or those that are named; as many at once as there are cores.

    python -m tests.fuzz [--quick | --seconds N] [NAME...]

--quick runs each target a fixed number of times from its seeds alone, with the same random numbers.
Otherwise each one gets N seconds and begins with what earlier runs found. The exit status is 1 if
there is a finding; each is printed with the command that tries it again.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.fuzz import campaign
from tests.fuzz.campaign import Outcome

DEFAULT_SECONDS = 180


def main() -> int:
    """Run, print a line for each target, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(campaign.names()))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=int, default=DEFAULT_SECONDS, help="for each target")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(campaign.names()):
        parser.error(f"no target {', '.join(sorted(unknown))}")
    began = time.monotonic()
    run = campaign.quick if asked.quick else _for(asked.seconds)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        good = [_told(outcome) for outcome in pool.map(run, asked.names or campaign.names())]
    print(f"fuzz: {sum(good)} of {len(good)} targets ok after {time.monotonic() - began:.0f} s")
    return 0 if all(good) else 1


def _for(seconds: int) -> Callable[[str], Outcome]:
    return lambda name: campaign.for_seconds(name, seconds)


def _told(outcome: Outcome) -> bool:
    """Print what came of it; whether all is well."""
    print(
        f"fuzz: {outcome.name:12} {outcome.executions:9,} executions in {outcome.seconds:5.1f} s, "
        f"{outcome.edges:5,} edges, {outcome.inputs:4,} inputs kept: "
        f"{'FAILED' if outcome.failed else 'ok'}",
        flush=True,
    )
    for finding in outcome.findings:
        print(f"fuzz: try it again: {campaign.reproduction(outcome.name, finding)}")
    if outcome.failed:
        print(f"fuzz: {outcome.log} ends with:\n{campaign.last_words(outcome)}", flush=True)
    return not outcome.failed


if __name__ == "__main__":
    sys.exit(main())
