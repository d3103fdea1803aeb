"""`python -m lab.ablation [--hosts N]`: replay July 2024 under all 64 combinations of safeguards.

Prints what each safeguard does alone, and which are made redundant by which; writes all outcomes to
ablation.json, in build/lab.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from content.files import replace_file
from lab.ablation import document
from lab.ablation.replay import Outcome, alone, replay_all
from lab.ablation.safeguards import Safeguard
from lab.unchecked.build import FOLDER, BuildError, load

HOSTS = 1_000
FEWEST_HOSTS = 1
MOST_HOSTS = 1_000_000


def main() -> int:
    """The command; its exit status: 0, or 3 where the unchecked interpreter can't be built."""
    hosts, folder = _arguments()
    try:
        load()
    except BuildError as error:
        sys.stderr.write(f"lab.ablation: {error}\n")
        return 3
    outcomes = replay_all(hosts)
    path = folder / document.FILE
    replace_file(path, document.text_of(outcomes, document.inputs(hosts)).encode("ascii"))
    _show(Console(), outcomes, path)
    return 0


def _show(screen: Console, outcomes: Sequence[Outcome], path: Path) -> None:
    table = Table(title=f"July 2024 on {outcomes[0].hosts:,} simulated hosts")
    for heading in ("safeguards", "hosts crashed", "stopped by", "on", "reason"):
        table.add_column(heading)
    found = {one.safeguards: one for one in outcomes}
    shown = [("none", found[frozenset()])]
    shown += [(f"{one} (finding {one.finding})", it) for one, it in alone(outcomes).items()]
    shown.append(("all six", found[frozenset(Safeguard)]))
    for words, one in shown:
        day = one.stopped_on.isoformat() if one.stopped_on else "never"
        by = str(one.stopped_by or "nothing")
        table.add_row(words, f"{one.crashed:,}", by, day, one.reason or "-")
    screen.print(table)
    incidents = sum(one.incident for one in outcomes)
    screen.print(f"{incidents} of {len(outcomes)} combinations crash any host; all: {path}")


def _arguments() -> tuple[int, Path]:
    parser = argparse.ArgumentParser(prog="python -m lab.ablation", allow_abbrev=False)
    parser.add_argument("--hosts", type=int, default=HOSTS, help=f"in the fleet ({HOSTS:,})")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where its results are put")
    given = parser.parse_args()
    hosts, folder = int(given.hosts), Path(given.folder)
    if not FEWEST_HOSTS <= hosts <= MOST_HOSTS:
        parser.error(f"--hosts is {hosts}, expected {FEWEST_HOSTS} to {MOST_HOSTS:,}")
    return hosts, folder


if __name__ == "__main__":
    sys.exit(main())
