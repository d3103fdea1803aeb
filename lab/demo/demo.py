"""The demonstration, as a story: six steps, each claim verified, everything cleaned up."""

import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from lab.demo import july19, steps
from lab.demo.behaviours import BEHAVIOURS
from lab.demo.claims import ClaimError, Claims
from lab.demo.scenario import Behaviour
from lab.demo.steps import Demonstration
from lab.demo.world import World

# As rich draws it, without the fonts that it would fetch from the network.
_PICTURE = re.sub(r"@font-face {{.*?}}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def run(
    output: Path, *, quiet: bool = False, behaviours: Sequence[Behaviour] = BEHAVIOURS
) -> Claims:
    """Run all steps and write `output`/report.json; never leaves anything behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: clean up, then end
    screen = Console(file=sys.stderr if quiet else sys.stdout, highlight=False, record=True)
    claims = Claims(screen)
    demo = Demonstration(World(output), claims)
    try:
        steps.start(demo)
        steps.deliver(demo)
        steps.detect(demo, behaviours)
        july19.refuse(demo)
        july19.contain(demo)
    except ClaimError as error:
        screen.print(f"\n[red]stopped[/red]: {error}; logs are in {output}", soft_wrap=True)
    finally:
        _end(demo)
    claims.show()
    claims.write(output / "report.json")
    screen.save_svg(str(output / "demo.svg"), title="make demo", code_format=_PICTURE)
    return claims


def _end(demo: Demonstration) -> None:
    try:
        steps.finish(demo)
    finally:
        demo.world.stop()
        demo.world.remove()
