"""What a run came to: a table, the survivors, a result file, and whether that is enough."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.mutation import survivors
from tests.mutation.mutants import Mutant
from tests.mutation.targets import LIMITS


@dataclass(frozen=True, slots=True)
class Outcome:
    """mutants: all that were judged. killed_by: by id, "" for survivors. reasons: the list."""

    mutants: Sequence[Mutant]
    killed_by: Mapping[str, str]
    reasons: Mapping[str, str]
    known: frozenset[str]
    quick: bool
    seconds: float

    @property
    def survivors(self) -> list[Mutant]:
        """Mutants that no test kills."""
        return [mutant for mutant in self.mutants if not self.killed_by[mutant.id]]

    @property
    def share(self) -> float:
        """Share of the mutants that are killed."""
        return 1 - len(self.survivors) / len(self.mutants)

    def faults(self) -> list[str]:
        """Why this is not enough."""
        found = []
        if self.share < LIMITS.least_killed:
            found.append(f"{self.share:.1%} are killed, at least {LIMITS.least_killed:.0%} must be")
        found += [
            f"{_place(mutant)} {mutant.id} survives without a reason in the list"
            for mutant in survivors.unlisted(self.survivors, self.reasons)
        ]
        killed = {name for name, by in self.killed_by.items() if by}
        stale = survivors.stale(self.reasons, killed, set(self.known))
        return found + [f"entry {name} is to be deleted: {why}" for name, why in stale.items()]


def table(outcome: Outcome) -> str:
    """Mutants, killed, survived and share of each file and of all."""
    rows = [("file", "mutants", "killed", "survived", "share")]
    paths = list(dict.fromkeys(mutant.path for mutant in outcome.mutants))
    for path, count, survived in [
        *((path, *_counts(outcome, path)) for path in paths),
        ("all", len(outcome.mutants), len(outcome.survivors)),
    ]:
        share = f"{1 - survived / count:.1%}"
        rows.append((path, str(count), str(count - survived), str(survived), share))
    return "\n".join(f"{row[0]:34}" + "".join(f"{cell:>10}" for cell in row[1:]) for row in rows)


def listing(outcome: Outcome) -> str:
    """The survivors that have no reason yet, as entries for the list."""
    return "\n\n".join(
        f"# {_place(mutant)}\n{survivors.entry(mutant)}"
        for mutant in survivors.unlisted(outcome.survivors, outcome.reasons)
    )


def write(outcome: Outcome, file: Path) -> None:
    """The result file: every mutant with what killed it."""
    document: dict[str, Any] = {
        "quick": outcome.quick,
        "seconds": round(outcome.seconds, 1),
        "mutants": len(outcome.mutants),
        "killed": len(outcome.mutants) - len(outcome.survivors),
        "share": outcome.share,
        "faults": outcome.faults(),
        "verdicts": [
            asdict(mutant)
            | {
                "killed_by": outcome.killed_by[mutant.id],
                "reason": outcome.reasons.get(mutant.id, ""),
            }
            for mutant in outcome.mutants
        ],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _counts(outcome: Outcome, path: str) -> tuple[int, int]:
    count = sum(mutant.path == path for mutant in outcome.mutants)
    return count, sum(mutant.path == path for mutant in outcome.survivors)


def _place(mutant: Mutant) -> str:
    return f"{mutant.path}:{mutant.line}"
