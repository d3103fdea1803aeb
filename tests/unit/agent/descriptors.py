"""Counting open descriptors, to see that none is lost."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_descriptors() -> int:
    """How many descriptors this process has open, without those that are garbage already."""
    gc.collect()
    # What lives now is not looked at again: with thousands of tests before this one, a look takes a
    # second, and there are hundreds of them.
    gc.freeze()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def none_lost() -> Iterator[None]:
    """Afterwards as many descriptors must be open as before."""
    before = open_descriptors()
    yield
    assert open_descriptors() == before
