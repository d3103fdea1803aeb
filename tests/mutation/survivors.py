"""The mutants that no test kills, and why that is right: tests/mutation/survivors.txt.

An entry is four lines: id, path and scope; the statement; the change; the reason. Entries are
separated by blank lines, and lines that begin with # are left out. Only id and reason count; the
rest is for the reader.
"""

from collections.abc import Mapping
from pathlib import Path

from tests.mutation.mutants import Mutant

REASON = "because "
_LINES = 4


class SurvivorsError(Exception):
    """The list is not of its form."""


def read(file: Path) -> dict[str, str]:
    """The reason for each survivor, by id."""
    lines = file.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    reasons: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split("\n\n"))):
        name, reason = entry.split()[0], entry.splitlines()[-1].strip()
        if len(entry.splitlines()) != _LINES or not reason.removeprefix(REASON).strip():
            raise SurvivorsError(f"{file.name}: entry {name}: expected {_LINES} lines and a reason")
        if not reason.startswith(REASON) or name in reasons:
            raise SurvivorsError(f"{file.name}: entry {name}: twice, or no line '{REASON}…'")
        reasons[name] = reason.removeprefix(REASON)
    return reasons


def entry(mutant: Mutant, reason: str = "") -> str:
    """The entry of a survivor, to be completed with the reason."""
    return (
        f"{mutant.id} {mutant.path} {mutant.scope}\n"
        f"    {mutant.statement}\n"
        f"    {mutant.before}  ->  {mutant.after}\n"
        f"    {REASON}{reason}"
    )


def unlisted(survivors: list[Mutant], reasons: Mapping[str, str]) -> list[Mutant]:
    """Survivors that nobody gave a reason for."""
    return [mutant for mutant in survivors if mutant.id not in reasons]


def stale(reasons: Mapping[str, str], killed: set[str], known: set[str]) -> dict[str, str]:
    """Entries that no longer hold, and why: their mutant is killed, or there is none."""
    found = {name: "is killed now" for name in reasons if name in killed}
    return found | {name: "there is no such mutant" for name in reasons if name not in known}
