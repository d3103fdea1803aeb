"""What is mutated, which tests have to notice, and what the run is held to."""

from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

CHECKS = (
    "content/validator.py",
    "content/validator_prose.py",
    "content/interpreter.py",
    "content/matching/batch.py",
    "content/matching/criteria.py",
    "content/matching/filters.py",
    "content/matching/work.py",
)
"""The checks of the Content Validator and the Content Interpreter themselves."""

BESIDE = (
    "content/channel_file.py",
    "content/definitions.py",
    "content/interface_cases.py",
    "content/regex_subset.py",
    "content/samples.py",
    "content/supply.py",
    "content/wire_reader.py",
)
"""What stands before them: strict loading, Definitions, the Supply, samples, generated cases."""

TARGETS = CHECKS + BESIDE
TESTS = "tests/unit/content"
SURVIVORS = Path(__file__).with_name("survivors.txt")
REPORT = CHECKOUT / "build" / "mutation" / "report.json"


@dataclass(frozen=True, slots=True)
class MutationLimits:
    """Every number that a run depends on."""

    least_killed: float = 0.95
    """Share of all mutants."""

    quick_mutants: int = 150
    """Size of the sample that a quick run draws from `CHECKS`."""

    cpu_seconds: int = 5
    """CPU time that a test has in any case; a mutant that makes it take more hangs: killed."""

    cpu_factor: int = 5
    """CPU time that a test has beside that, as a multiple of what it usually takes."""

    usual_seconds: float = 10
    """CPU time that is assumed of a test that did not run without a mutant."""

    collecting_seconds: int = 60
    """CPU time for collecting the tests."""

    memory_bytes: int = 2 << 30
    """Address space that a mutant may take beside what it was forked with."""


LIMITS = MutationLimits()
