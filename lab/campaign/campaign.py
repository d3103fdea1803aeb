"""Carries out the cells of a plan, as many at a time as the runner can, and keeps each result.

An interruption passes through: the runner has ended what it started, the unfinished cell's folder
is gone, and the results of all cells before it stay.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime

from lab.campaign.plan import Catalogue, Plan
from lab.campaign.screen import Screen
from lab.cells.model import Cell, Environment, Measured, Result
from lab.cells.runner import Runner, RunnerError
from lab.results.document import Recorded
from lab.results.errors import ResultsError
from lab.results.store import Store

AS_EXPECTED = 0
ONE_DIFFERS = 1
NOT_CARRIED_OUT = 3
"""Exit statuses."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What all cells of a run share."""

    catalogue: Catalogue
    runner: Runner
    environment: Environment
    inputs: str
    store: Store
    screen: Screen
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def kept(self, cells: Iterable[Cell]) -> dict[Cell, Recorded]:
        """Results that there are of these cells; it is said which can't be used."""
        found: dict[Cell, Recorded] = {}
        for cell in cells:
            try:
                recorded = self.store.read(self.environment, cell)
            except ResultsError as error:
                self.screen.say(f"{cell} is run again: {error}")
            else:
                if recorded is not None:
                    found[cell] = recorded
        return found

    def carry_out(self, plan: Plan) -> list[Recorded]:
        """Results of all cells that the plan wants, in its order."""
        with self.screen.cells(len(plan.left)):
            if self.runner.at_once == 1:
                fresh = [self._shown(cell) for cell in plan.left]
            else:
                fresh = self._at_once(plan.left)
        results = {**plan.done, **{one.result.cell: one for one in fresh}}
        return [results[cell] for cell in plan.wanted]

    def _at_once(self, cells: Sequence[Cell]) -> list[Recorded]:
        with ThreadPoolExecutor(self.runner.at_once) as hands:
            running = [hands.submit(self._shown, cell) for cell in cells]
            try:
                return [one.result() for one in as_completed(running)]
            except BaseException:
                hands.shutdown(wait=False, cancel_futures=True)
                self.runner.stop()
                raise

    def _shown(self, cell: Cell) -> Recorded:
        self.screen.begins(cell, self.runner.estimate_seconds(cell))
        recorded = self._one(cell)
        self.screen.ended(recorded)
        return recorded

    def _one(self, cell: Cell) -> Recorded:
        started = self.now().isoformat(timespec="seconds")
        measured: Measured | None = None
        failure = ""
        with self.store.scratch() as folder:
            try:
                measured = self.runner.run(cell, folder)
            except RunnerError as error:
                failure = str(error)
            expected = self.catalogue.expectations[cell]
            result = Result(cell, expected, self.environment, started, measured, failure)
            return self.store.keep(Recorded(result, self.inputs), folder)


def exit_status(results: Sequence[Recorded]) -> int:
    """A difference outweighs a cell that could not be carried out."""
    verdicts = {one.result.as_expected for one in results}
    if False in verdicts:
        return ONE_DIFFERS
    return NOT_CARRIED_OUT if None in verdicts else AS_EXPECTED
