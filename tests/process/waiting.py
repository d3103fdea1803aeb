"""Looking at a process that goes on: what becomes true, with an end, and what it has open."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.patience import patient


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return as soon as it holds; AssertionError after so many seconds."""
    deadline = time.monotonic() + patient(seconds)
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patient(seconds)} s")
        time.sleep(0.005)


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process lead to; those that it closes meanwhile are left out."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(descriptor.readlink()))
    return found
