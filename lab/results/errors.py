"""Why a results file can't be used, with stable reason codes."""

from enum import StrEnum


class ResultsReason(StrEnum):
    """What is wrong with it."""

    UNREADABLE = "RESULTS_UNREADABLE"
    VERSION = "RESULTS_VERSION"
    FIELD = "RESULTS_FIELD"


class ResultsError(Exception):
    """A results file is not used; the message names the file, the place, found and expected."""

    def __init__(self, reason: ResultsReason, file: str, detail: str) -> None:
        super().__init__(f"{reason}: {file}: {detail}")
        self.reason = reason
