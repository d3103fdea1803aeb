"""When Python's cyclic collector runs: not while content is made ready, not while it is evaluated.

Its full passes take a time that grows with all objects of the process, and come whenever enough new
ones were made. That would be slow where very many are made, and unjust where time is measured: it
would be charged to whoever happens to be running.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Without the collector, which catches up afterwards; what has no cycles is freed as ever."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
