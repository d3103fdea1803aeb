"""What ends a session from outside: whoever waits in it is interrupted, and hears why.

A session waits in its own task. One more task for what it waits for, beside a future that says why
it has to end, takes two kilobytes, and there are ten thousand of them.
"""

import asyncio
from types import TracebackType
from typing import Self


class Ending:
    """A block of code that `because` of an error can end; the block then raises that error.

    One task at a time; a cancellation by anybody else stays a cancellation.
    """

    __slots__ = ("_error", "_task")

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._task: asyncio.Task[object] | None = None

    def because(self, error: Exception) -> None:
        """End the block now, or when it begins. The first reason counts."""
        if self._error is None:
            self._error = error
            if self._task is not None:
                self._task.cancel()

    def __enter__(self) -> Self:
        if self._error is not None:
            raise self._error
        self._task = asyncio.current_task()
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if self._error is None or task is None:
            return
        others = task.uncancel()
        if isinstance(raised, asyncio.CancelledError) and not others:
            raise self._error from None
