"""What the link says on standard error, which the supervisor puts into its own log."""

import sys

from content.escape import safe


def say(text: str) -> None:
    """One line, escaped: parts of it may come from the cloud."""
    sys.stderr.write(f"link: {safe(text)}\n")
    sys.stderr.flush()
