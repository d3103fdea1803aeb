"""A run of the laboratory: say what will be done, do it, write the report.

1. is there room, and can there be hosts at all
2. which cells are done already, and how long the rest will take
3. carry them out, each result kept as it comes; then the ablation
4. tables, figures and report of all that is kept, after an interruption too
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.campaign import ablation, inputs
from lab.campaign.campaign import NOT_CARRIED_OUT, Campaign, exit_status
from lab.campaign.plan import Catalogue, plan
from lab.campaign.screen import Screen, plan_lines
from lab.cells.model import Cell
from lab.cells.runner import Runner
from lab.report import writing
from lab.results import machine
from lab.results.store import Store
from lab.vm.alone import alone

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "build" / "lab"
NEEDED = (
    "needs root, 4 GiB of room, Debian's archive and the packages of scripts/setup --for-vms; "
    "images are built once, in minutes, and kept"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is to do; hosts: how many the ablation's fleet has."""

    runner: str
    cells: tuple[Cell, ...]
    hosts: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Where results are kept, what there is to carry out, and what can do it."""

    folder: Path
    catalogue: Catalogue
    runners: Mapping[str, Callable[[], Runner]]

    def run(self, wanted: Wanted, screen: Screen) -> int:
        """The exit status; RunnerError or VmError where nothing can be carried out here."""
        with alone(self.folder, "laboratory"):
            # 1.
            campaign = self._campaign(wanted, screen)
            with self._reported(screen):
                # 2.
                kept = {} if wanted.fresh else campaign.kept(wanted.cells)
                runner = campaign.runner
                chosen = plan(
                    wanted.cells,
                    kept,
                    campaign.inputs,
                    lambda cell: runner.estimate_seconds(cell) / runner.at_once,
                )
                for line in plan_lines(chosen):
                    screen.say(line)
                # 3.
                status = exit_status(campaign.carry_out(chosen))
                replayed = ablation.ensure(self.folder, wanted.hosts, screen, fresh=wanted.fresh)
            return status or (0 if replayed else NOT_CARRIED_OUT)

    def _campaign(self, wanted: Wanted, screen: Screen) -> Campaign:
        runner = self.runners[wanted.runner]()
        screen.say(f"preparing hosts ({runner.name}): {NEEDED}")
        host = runner.prepare()
        screen.say(f"hosts: {host.release}, kernel {host.kernel}, {host.accelerator}")
        store = Store(self.folder)
        store.clear_unfinished()
        made_from = inputs.digest(CHECKOUT, host)
        return Campaign(self.catalogue, runner, host, made_from, store, screen)

    @contextmanager
    def _reported(self, screen: Screen) -> Iterator[None]:
        """4."""
        machine.write(self.folder, CHECKOUT)
        try:
            yield
        finally:
            screen.say(f"report: {writing.write(self.folder, self.catalogue)}")
