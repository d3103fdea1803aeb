"""Waiting for something to become true, with an end."""

import time
from collections.abc import Callable

from tests.patience import patient


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return as soon as it holds; AssertionError after so many seconds."""
    deadline = time.monotonic() + patient(seconds)
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patient(seconds)} s")
        time.sleep(0.005)
