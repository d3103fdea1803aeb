"""Work that is done when there is some, in a task that lasts no longer.

A session waits nearly all of the time, and ten thousand of them wait at once: what waits in a task
of its own takes a kilobyte and a half, and a call that begins one takes none.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Errand:
    """One kind of work, never done twice at the same time.

    do: does what there is to do. failed: is told what ends it; nothing is done any more then.
    """

    __slots__ = ("_again", "_do", "_failed", "_over", "_task")

    def __init__(
        self, do: Callable[[], Coroutine[Any, Any, None]], failed: Callable[[Exception], None]
    ) -> None:
        self._do = do
        self._failed = failed
        self._again = self._over = False
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """There is something to do: now, or after what is being done."""
        self._again = True
        if self._task is None and not self._over:
            self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Stop in the middle, and do nothing any more."""
        self._over = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._again and not self._over:
                self._again = False
                await self._do()
        except Exception as error:  # noqa: BLE001  told to whoever has to know
            self._over = True
            self._failed(error)
        finally:
            self._task = None
