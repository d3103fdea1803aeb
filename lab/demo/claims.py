"""Claims of the demonstration: each is printed when it has been verified, not when it is hoped for.

`Claims.verify` runs a check that returns its evidence, times it, prints one line and remembers the
result. A check that fails is a claim that doesn't hold; the demonstration goes on, so that the end
shows all of them, unless the failed step is one that later steps need.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from content.escape import safe


class ClaimError(Exception):
    """A claim doesn't hold; the message says what was seen instead."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One verified (or refuted) statement."""

    name: str
    holds: bool
    evidence: str
    seconds: float


@dataclass(slots=True)
class Claims:
    """All claims so far; quiet leaves standard output to the JSON report."""

    screen: Console
    found: list[Claim] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """The start of a step."""
        self.screen.print(f"\n[bold]{escape(text)}[/bold]")

    def verify(self, name: str, check: Callable[[], str]) -> bool:
        """Run a check that returns its evidence or raises ClaimError; print and remember it."""
        started = time.monotonic()
        try:
            evidence, holds = check(), True
        except ClaimError as error:
            evidence, holds = str(error), False
        claim = Claim(name, holds, evidence, round(time.monotonic() - started, 3))
        self.found.append(claim)
        mark = "[green]✓[/green]" if holds else "[red]✗[/red]"
        shown = escape(safe(evidence, 600))
        self.screen.print(
            f"  {mark} {claim.seconds:6.2f} s  {escape(name)}: {shown}", soft_wrap=True
        )
        return holds

    def require(self, name: str, check: Callable[[], str]) -> None:
        """Like verify, for what later steps can't do without: ClaimError ends the demonstration."""
        if not self.verify(name, check):
            raise ClaimError(f"cannot go on without: {name}")

    @property
    def all_hold(self) -> bool:
        """Whether there are claims and every one holds."""
        return bool(self.found) and all(claim.holds for claim in self.found)

    def show(self) -> None:
        """The table at the end."""
        table = Table(title="What was verified", title_justify="left")
        table.add_column("")
        table.add_column("claim")
        table.add_column("evidence", overflow="fold")
        table.add_column("s", justify="right")
        for claim in self.found:
            mark = "[green]holds[/green]" if claim.holds else "[red]FAILS[/red]"
            shown = escape(safe(claim.evidence, 300))
            table.add_row(mark, escape(claim.name), shown, f"{claim.seconds:.2f}")
        self.screen.print(table)

    def write(self, path: Path) -> None:
        """The report for programs."""
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"claims": [asdict(claim) for claim in self.found], "holds": self.all_hold}
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="ascii")
