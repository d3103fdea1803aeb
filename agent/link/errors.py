"""What can go wrong in the link."""


class LinkError(Exception):
    """Root of the link's errors. `reason` is a stable code for people and programs."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}: {text}")


class ConfigurationError(LinkError):
    """The role can't start as it was told to: folder, credentials or address."""


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
