"""Descriptors under numbers above those of attachments: what the world shall see first of our end.

If we are killed, the kernel closes what we hold from the highest number down, and attachments take
seconds. Until then a channel would look alive, and the next supervisor would find the state folder
locked and the control socket answering.
"""

import fcntl
import os

from agent.supervisor.limits import LIMITS

END = LIMITS.first_high_descriptor
"""Under this number whoever started us keeps watch: once it is closed, all above it are."""


def moved_up(descriptor: int) -> int:
    """The same under a high number, where the limit allows that; the low one is closed then."""
    try:
        high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, END + 1)
    except OSError:
        return descriptor
    os.close(descriptor)
    return high
