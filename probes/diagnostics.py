"""Catch what compiler and verifier write to standard error, which BCC leaves no other way to get.

The file descriptor itself is redirected, because the writers are C++ code. Use it only where no
other thread writes.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STANDARD_ERROR = 2


@contextmanager
def captured_diagnostics(limit: int) -> Iterator[Callable[[], str]]:
    """While it lasts, standard error goes to memory; the yielded function returns its end.

    limit: bytes that the function returns at most.
    """
    sys.stderr.flush()
    kept = os.dup(STANDARD_ERROR)
    memory = os.memfd_create("bulkhead-diagnostics", os.MFD_CLOEXEC)
    os.dup2(memory, STANDARD_ERROR)
    try:
        yield lambda: _tail(memory, limit)
    finally:
        os.dup2(kept, STANDARD_ERROR)
        os.close(kept)
        os.close(memory)


def _tail(memory: int, limit: int) -> str:
    size = os.fstat(memory).st_size
    start = max(0, size - limit)
    return os.pread(memory, size - start, start).decode("utf-8", "replace").strip()
