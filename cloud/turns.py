"""Turns to be offered content: so many hosts at a time, so that each of them is served promptly.

A push is for everybody, and each host answers it with four messages, and with calls where not all
of it was sent along. Offered to ten thousand hosts at once, all of them would wait for longer than
a sensor waits for an answer, leave, and come back for more. A turn begins with the decision and
ends when the host has what it was offered, when its session ends, or after `turn_seconds`: whoever
dawdles holds up nobody.

Nobody waits here: who gets no turn is woken when it is given one, and can be woken for other
reasons before.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable


class Turn:
    """One host's turn."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended: Callable[[], None] | None = ended
        self._timer: asyncio.TimerHandle | None = None

    def end_later(self, seconds: float) -> None:
        """End it after so many seconds, if nobody does before."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self.end)

    def end(self) -> None:
        """The next one may begin; a second time changes nothing."""
        ended, self._ended = self._ended, None
        if self._timer is not None:
            self._timer.cancel()
        if ended is not None:
            ended()


class Turns:
    """First come, first served."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: OrderedDict[Hashable, Callable[[], None]] = OrderedDict()
        self._given: dict[Hashable, Turn] = {}

    def ask(self, who: Hashable, wake: Callable[[], None]) -> Turn | None:
        """A turn, to be ended; or None, and `wake` is called when it is worth asking again."""
        if who in self._given:
            return self._given.pop(who)
        if self._free:
            self._free -= 1
            return Turn(self._next)
        self._waiting.setdefault(who, wake)
        return None

    def forget(self, who: Hashable) -> None:
        """It has gone, and leaves a turn that it was given to the next."""
        self._waiting.pop(who, None)
        if given := self._given.pop(who, None):
            given.end()

    def _next(self) -> None:
        if not self._waiting:
            self._free += 1
            return
        who, wake = self._waiting.popitem(last=False)
        self._given[who] = Turn(self._next)
        wake()
