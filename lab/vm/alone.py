"""One run at a time in a folder: guests write their console and results at fixed places in it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.vm.errors import VmError, VmReason


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder, made if it is missing; VmError (BUSY) says that `what` is running."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise VmError(VmReason.BUSY, f"another {what} of this checkout is running") from error
        yield
    finally:
        os.close(descriptor)
