"""Run something that may crash in a process of its own, as a host or a test machine would.

The child is a fork: what it evaluates with was imported before. It tells its result through a pipe
and ends at once, without a word about how; a signal that ends it is a result too.
"""

import faulthandler
import gc
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Crash:
    """The process was ended by this signal."""

    signal: int


def apart(function: Callable[[], _Result]) -> _Result | Crash:
    """What the function returns, or how its process died.

    Raises RuntimeError if it ended otherwise: an exception of it is printed by the child.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _tell(function, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        said = told.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return Crash(os.WTERMSIG(status))
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"a process apart ended with {os.waitstatus_to_exitcode(status)}")
    result: _Result = pickle.loads(said)  # noqa: S301 — from our own child
    return result


def _tell(function: Callable[[], _Result], writing: int) -> None:
    """In the child: never returns."""
    faulthandler.disable()
    # What the parent left for its collector is not ours to end: a server of grpc.aio waits, as it
    # is collected, for a thread that no fork has.
    gc.freeze()
    status = 1
    try:
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(function(), pipe)
        status = 0
    finally:
        os._exit(status)
