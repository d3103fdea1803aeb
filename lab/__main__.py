"""The comparative crash-resilience laboratory: carry out cells, keep results, write the report.

Goes on where an earlier run was interrupted: a cell that was measured from the same sources on the
same kind of host is not carried out again. Exit status: 0 if every cell came out as expected, 1 if
one did not, 3 if one could not be carried out, 130 if interrupted.
"""

import argparse
import signal
import sys
from collections.abc import Sequence

from rich.console import Console

from content.escape import safe
from lab.campaign.campaign import NOT_CARRIED_OUT
from lab.campaign.catalogue import load
from lab.campaign.laboratory import FOLDER, Laboratory, Wanted
from lab.campaign.plan import QUICK, PlanError, choose
from lab.campaign.runners import RUNNERS
from lab.campaign.screen import Screen
from lab.cells.finding import PartError
from lab.cells.runner import RunnerError
from lab.vm.errors import VmError

INTERRUPTED = 130
HOSTS, QUICK_HOSTS = 1_000, 100
"""Of the ablation's fleet."""


def main(laboratory: Laboratory, words: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    wanted = arguments(laboratory, words)
    screen = Screen(Console())
    # Whoever ends us wants hosts and half-built images gone as well.
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.default_int_handler)
    try:
        return laboratory.run(wanted, screen)
    except (VmError, RunnerError, OSError) as error:
        screen.say(f"error: {safe(str(error))}")
        return NOT_CARRIED_OUT
    except KeyboardInterrupt:
        screen.say("interrupted; the next run goes on from here")
        return INTERRUPTED


def found() -> int:
    """The command with all arms and faults that there are; 3 where one of them can't be used."""
    try:
        catalogue = load()
    except PartError as error:
        sys.stderr.write(f"lab: error: {error}\n")
        return NOT_CARRIED_OUT
    return main(Laboratory(FOLDER, catalogue, RUNNERS))


def arguments(laboratory: Laboratory, words: Sequence[str] | None) -> Wanted:
    """What was asked for; ends the command with status 2 where that can't be."""
    parser = argparse.ArgumentParser(prog="make lab", description=__doc__, allow_abbrev=False)
    parser.add_argument("--runner", choices=sorted(laboratory.runners), default="direct")
    parser.add_argument("--cells", action="append", default=[], metavar="PATTERN", help="like K/*")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--fresh", action="store_true", help="run again what is done already")
    given = parser.parse_args(words)
    if given.quick and given.cells:
        parser.error("--quick says which cells: leave out --cells")
    try:
        cells = choose(laboratory.catalogue, QUICK if given.quick else given.cells)
    except PlanError as error:
        parser.error(str(error))
    return Wanted(given.runner, cells, QUICK_HOSTS if given.quick else HOSTS, given.fresh)


if __name__ == "__main__":
    sys.exit(found())
