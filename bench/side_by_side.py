"""The same measurement in several processes at once, each with a share of the work.

If one fails, the others are interrupted as by Ctrl-C, clean up, and the failure is raised.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from typing import TypeVar

Work = TypeVar("Work")
Shown = TypeVar("Shown")

_given_up: Event | None = None
"""In a process of the pool: set before it is interrupted, for one that has not begun by then."""


def side_by_side(
    measure: Callable[[Sequence[Work]], Shown], work: Sequence[Work], processes: int
) -> list[Shown]:
    """What each process showed. `measure` is a module's function, or a partial of one."""
    shares = [work[number::processes] for number in range(processes)]
    # Spawned: threads that watch a log don't survive a fork.
    context = multiprocessing.get_context("spawn")
    given_up = context.Event()
    with ProcessPoolExecutor(processes, context, _begin, (given_up,)) as pool:
        shown = [pool.submit(_measure, measure, share) for share in shares]
        wait(shown, return_when=FIRST_EXCEPTION)
        failed = [one for one in shown if _failed(one)]
        if failed:
            given_up.set()
            _interrupt(multiprocessing.active_children())
        return [one.result() for one in failed or shown]


def _begin(given_up: Event) -> None:
    # Also where whoever started this ignores the signal, as shells do for what runs behind.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    globals()["_given_up"] = given_up


def _measure(measure: Callable[[Sequence[Work]], Shown], share: Sequence[Work]) -> Shown:
    if _given_up is not None and _given_up.is_set():
        raise KeyboardInterrupt
    return measure(share)


def _interrupt(children: Iterable[BaseProcess]) -> None:
    for child in children:
        if child.pid is not None:
            os.kill(child.pid, signal.SIGINT)


def _failed(one: Future[Shown]) -> bool:
    return one.done() and one.exception() is not None
