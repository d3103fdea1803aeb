"""What is wrong with content, in a form that people and programs can act on.

A `Problem` names the place, what was found, what was expected and a stable reason code
(see `content.reasons`). `ContentError` carries all problems that were found at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from content.escape import safe
from content.limits import LIMITS
from content.reasons import Reason

SHOWN_CHARACTERS = 80
"""How much of what was found is shown."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why content is refused, or a warning.

    place: path into the content, such as ``instances[2].clauses[0].criteria[1]``.
    file, line, column: where an author finds it (line and column count from 1); empty and 0
    where the content did not come from a text file.
    """

    reason: Reason
    place: str
    found: str
    expected: str
    file: str = ""
    line: int = 0
    column: int = 0


class ContentError(Exception):
    """Content was refused; `problems` is never empty."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("a ContentError needs at least one problem")
        self.problems = tuple(problems)
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(
            f"{first.reason}: {first.place}: found {first.found}, expected {first.expected}{more}"
        )


class Reporter:
    """Collects problems, up to the limit; escapes and cuts what was found."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    @property
    def is_full(self) -> bool:
        """Whether further problems would be dropped."""
        return len(self.problems) >= LIMITS.problems

    def __call__(self, reason: Reason, place: str, found: object, expected: str) -> None:
        """Add a problem."""
        if not self.is_full:
            shown = safe(found if isinstance(found, bytes) else str(found), SHOWN_CHARACTERS)
            self.problems.append(Problem(reason, place, shown, expected))

    def count(self, place: str, count: int, limit: int) -> None:
        """Refuse a count or size over its limit."""
        if count > limit:
            self(Reason.LIMIT_EXCEEDED, place, count, f"at most {limit}")
