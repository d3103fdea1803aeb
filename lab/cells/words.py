"""Times as people say them."""

MINUTE = 60
"""Seconds."""

EXACT_SECONDS = 10
"""Below that, tenths of a second are said."""


def duration(seconds: float) -> str:
    """Such as 0.4 s, 41 s, 3 min 20 s, 2 h 5 min."""
    if seconds < EXACT_SECONDS:
        return f"{seconds:.1f} s"
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), MINUTE)
    hours, minutes = divmod(minutes, MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
