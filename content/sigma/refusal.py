"""Why a Sigma rule was not converted: reason, place in its file, what was found and expected.

`RuleRefusedError` is what every step of the conversion raises; nothing is half-converted. A reason
is a `SigmaReason`, or a `content.reasons.Reason` where the same thing is wrong with a rule that
could be wrong with an instance (damaged YAML, an expression outside the subset, a limit).
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from content.escape import safe
from content.problems import SHOWN_CHARACTERS, Problem
from content.reasons import Reason
from content.yaml_form import Mark


class SigmaReason(StrEnum):
    """Why a rule was refused. Codes are never renamed or reused; docs/sigma.md explains each."""

    RULE_INVALID = "SIGMA_RULE_INVALID"
    KIND_NOT_SUPPORTED = "SIGMA_KIND_NOT_SUPPORTED"
    LOGSOURCE_NOT_SUPPORTED = "SIGMA_LOGSOURCE_NOT_SUPPORTED"
    LEVEL_MISSING = "SIGMA_LEVEL_MISSING"
    FIELD_NOT_SUPPLIED = "SIGMA_FIELD_NOT_SUPPLIED"
    KEYWORDS_NOT_SUPPORTED = "SIGMA_KEYWORDS_NOT_SUPPORTED"
    VALUE_NOT_SUPPORTED = "SIGMA_VALUE_NOT_SUPPORTED"
    VALUE_AMBIGUOUS = "SIGMA_VALUE_AMBIGUOUS"
    CASE_NOT_ASCII = "SIGMA_CASE_NOT_ASCII"
    TOO_COMPLEX = "SIGMA_TOO_COMPLEX"
    NEVER_MATCHES = "SIGMA_NEVER_MATCHES"
    NO_SAMPLE_FOUND = "SIGMA_NO_SAMPLE_FOUND"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One rule that was not converted; line and column count from 1, 0 where they are not known."""

    file: Path
    title: str
    reason: str
    place: str
    found: str
    expected: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Searched:
    """A place known only by what is written there: a field, and a text it is searched for."""

    field: str
    text: str | None = None


class RuleRefusedError(Exception):
    """A rule can't be converted; `at` says where in its file that shows, if anywhere."""

    def __init__(
        self,
        reason: SigmaReason | Reason,
        place: str,
        found: str,
        expected: str,
        at: Mark | Searched | None = None,
    ) -> None:
        self.reason = reason
        self.place = place
        self.found = safe(found, SHOWN_CHARACTERS)
        self.expected = expected
        self.at = at
        super().__init__(f"{reason}: {place}: found {self.found}, expected {expected}")

    @property
    def mark(self) -> Mark | None:
        """Where it stands, where that is known without looking for it."""
        return self.at if isinstance(self.at, Mark) else None


def of_problem(file: Path, title: str, problem: Problem) -> Refusal:
    """The refusal that a problem of content leads to."""
    return Refusal(
        file=file,
        title=title,
        reason=str(problem.reason),
        place=problem.place,
        found=problem.found,
        expected=problem.expected,
        line=problem.line,
        column=problem.column,
    )
