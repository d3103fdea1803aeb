"""Mutation tests: breaks the checks on purpose, one change at a time, and asks who notices.

Prints a table, lists survivors, writes build/mutation/report.json. Exit status 0: enough mutants
are killed and every survivor has its reason in tests/mutation/survivors.txt. 1: not so. 2: the
tests fail as they are.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

from tests.mutation import reporting, survivors
from tests.mutation.judging import Job, judge
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.reporting import Outcome
from tests.mutation.targets import CHECKS, LIMITS, REPORT, SURVIVORS, TARGETS
from tests.mutation.tracing import TestsFailError, Trace, trace

_EVERY = 50
"""Verdicts between two lines of progress."""


def main() -> int:
    """Run what the arguments ask for; the exit status."""
    arguments = _arguments()
    everything = {path: mutants_of(path) for path in TARGETS}
    chosen = _chosen(arguments, everything)
    reasons = survivors.read(SURVIVORS)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bulkhead-mutation-") as scratch:
        try:
            run = _Run(Path(scratch), arguments.workers, reasons, quick=arguments.quick)
            killed_by = run.of(chosen)
        except TestsFailError as error:
            print(f"mutation: {error}", file=sys.stderr)
            return 2
    known = frozenset(mutant.id for group in everything.values() for mutant in group)
    seconds = time.monotonic() - began
    return _conclude(Outcome(chosen, killed_by, reasons, known, arguments.quick, seconds))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fixed sample, as CI runs it")
    parser.add_argument("--only", nargs="+", metavar="ID", help="only these mutants")
    parser.add_argument("--files", nargs="+", choices=TARGETS, help="only mutants of these files")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    return parser.parse_args()


def _chosen(arguments: argparse.Namespace, everything: Mapping[str, list[Mutant]]) -> list[Mutant]:
    paths = arguments.files or (CHECKS if arguments.quick else TARGETS)
    mutants = [mutant for path in paths for mutant in everything[path]]
    if arguments.only:
        return [mutant for mutant in mutants if mutant.id in arguments.only]
    return _sample(mutants) if arguments.quick else mutants


def _sample(mutants: Sequence[Mutant]) -> list[Mutant]:
    """Those with the lowest ids: as good as drawn, and the same as long as the code is."""
    lowest = sorted(mutant.id for mutant in mutants)[: LIMITS.quick_mutants]
    return [mutant for mutant in mutants if mutant.id in lowest]


def _conclude(outcome: Outcome) -> int:
    reporting.write(outcome, REPORT)
    if listing := reporting.listing(outcome):
        print(f"\n{listing}\n")
    print(reporting.table(outcome))
    faults = outcome.faults()
    for fault in faults:
        print(f"mutation: {fault}", file=sys.stderr)
    print(f"mutation: {'not enough' if faults else 'ok'} after {outcome.seconds:.0f} s")
    return 1 if faults else 0


class _Run:
    """One run over some mutants.

    1. the tests run once, traced
    2. what is in functions is judged warm, by the tests that execute its statement
    3. what may have escaped is judged cold, by all tests of its module: what stands outside of
       functions, and survivors whose statement runs while tests are collected; in a quick run,
       which leaves out property-based tests so far, every survivor that is not expected
    """

    def __init__(
        self, scratch: Path, workers: int, expected: Container[str], *, quick: bool
    ) -> None:
        self._scratch = scratch
        self._workers = workers
        self._expected = expected
        self._quick = quick
        self._killed_by: dict[str, str] = {}

    def of(self, mutants: Sequence[Mutant]) -> dict[str, str]:
        """What killed each mutant, by id; "" for survivors."""
        _say(f"{len(mutants)} mutants; running the tests without any of them")
        found = trace(TARGETS, self._scratch, self._workers, properties=not self._quick)
        _say(f"{len(found.seconds)} tests")
        self._killed_by = {mutant.id: "" for mutant in mutants}
        inside = [mutant for mutant in mutants if mutant.function]
        self._judge((_job(one, found) for one in inside), cold=False)
        doubtful = [one for one in mutants if self._is_doubtful(one, found)]
        self._judge((_last_job(one, found) for one in doubtful), cold=True)
        return self._killed_by

    def _is_doubtful(self, mutant: Mutant, found: Trace) -> bool:
        if self._killed_by[mutant.id]:
            return False
        if self._quick:
            return mutant.id not in self._expected
        return not mutant.function or found.is_collected(mutant)

    def _judge(self, jobs: Iterable[Job], *, cold: bool) -> None:
        tested = [job for job in jobs if job.tests]
        began = time.monotonic()
        for done, verdict in enumerate(judge(tested, self._scratch, self._workers, cold=cold), 1):
            self._killed_by[verdict.id] = verdict.killed_by
            if not verdict.killed_by:
                _say(f"{verdict.id} survives so far")
            if done % _EVERY == 0 or done == len(tested):
                kind = "cold" if cold else "warm"
                _say(f"{done} of {len(tested)} {kind}, {time.monotonic() - began:.0f} s")


def _job(mutant: Mutant, found: Trace) -> Job:
    return Job(mutant, {test: found.seconds[test] for test in found.of_statement(mutant)})


def _last_job(mutant: Mutant, found: Trace) -> Job:
    """All that could possibly kill a mutant; tests that have not run yet at last."""
    tests = {test: found.seconds[test] for test in found.of_module(mutant.path)}
    return Job(mutant, tests | dict.fromkeys(sorted(found.left_out), LIMITS.usual_seconds))


def _say(text: str) -> None:
    print(f"mutation: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
