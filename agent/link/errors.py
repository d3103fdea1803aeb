"""What can go wrong in the link."""

import re

REASON = re.compile(r"(?P<reason>[A-Z][A-Z0-9_]{2,63}): (?P<text>.*)", re.ASCII | re.DOTALL)
"""How the cloud says why it refuses, in the details of a status."""
LONGEST_DETAILS = 1024


class LinkError(Exception):
    """Root of the link's errors. `reason` is a stable code for people and programs."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}: {text}")


class ConfigurationError(LinkError):
    """The role can't start as it was told to: folder, credentials or address."""


class CredentialsError(LinkError):
    """A certificate or key is not fit, or doesn't fit the other."""


class JoinError(LinkError):
    """This host could not join; `text` is the message without its reason."""

    def __init__(self, reason: str, text: str) -> None:
        self.text = text
        super().__init__(reason, text)


class StoreError(LinkError):
    """Outbox or detection log could not be written now; nothing of the batch was stored."""


class ReportError(LinkError):
    """A message of the supervisor does not say what its kind has to say.

    count: how many detections or reports are lost with it.
    """

    def __init__(self, reason: str, text: str, count: int = 1) -> None:
        self.count = count
        super().__init__(reason, text)


class CloudError(LinkError):
    """The session has ended, or the cloud broke its rules; another one is tried.

    retry_after: the seconds after which the cloud wants us back, where it said so.
    """

    def __init__(self, reason: str, text: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(reason, text)


class FetchRefusedError(LinkError):
    """What was fetched is not what was offered: says where, what was found and expected."""

    def __init__(self, reason: str, place: str, found: str, expected: str) -> None:
        self.place, self.found, self.expected = place, found, expected
        super().__init__(reason, f"{place}: found {found}, expected {expected}")


def refusal(status: str, details: str | None) -> tuple[str, str]:
    """The cloud's own reason and words where it has said them, else gRPC's status and words."""
    text = (details or "no details")[:LONGEST_DETAILS]
    match = REASON.fullmatch(text)
    return (match["reason"], match["text"]) if match else (status, text)
