"""What a host of a rollout may show, for better or worse. Pure."""

from enum import StrEnum


class Sign(StrEnum):
    """What a host may show; each host counts once for each sign."""

    DIED = "died"  # a crash or hang report of any role, whatever is suspected
    BLAMED = "blamed"  # one that names this content
    GIVEN_UP = "given_up"  # rejected, quarantined or rolled back this content, or an instance of it
    SILENT = "silent"  # no heartbeat for too long
    SLOW = "slow"  # mean time to evaluate an event
    HEAVY = "heavy"  # memory of the evaluator
    NOISY = "noisy"  # detections by this content


UNWELL = (Sign.DIED, Sign.BLAMED, Sign.GIVEN_UP, Sign.SILENT)
