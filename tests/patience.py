"""How much longer than usual a test may take: on an emulated processor, for example.

BULKHEAD_TIME_FACTOR multiplies every time limit of the tests; their results are the same.
"""

import os

FACTOR = float(os.environ.get("BULKHEAD_TIME_FACTOR", "1"))


def patient(seconds: float) -> float:
    """A time limit for this machine."""
    return seconds * FACTOR
