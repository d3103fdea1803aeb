"""Detections as they come, as server-sent events: one stream for each page that shows them.

A stream asks the store only when somebody has committed, in the order of storing, and goes on after
the last number that the page has. A page that can't keep up is told how many it was not sent. The
number of streams is bounded; a stream ends with its session, and with the console.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from cloud.console.pages import detection
from cloud.console.rendering import printable
from cloud.console.sessions import Session
from cloud.console.visit import Desk
from cloud.errors import CloudError, CloudReason, RequestError
from cloud.store import reports
from cloud.store.tables import DETECTIONS
from cloud.store.watch import Watch


class Feed:
    """All streams of the console."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._limits = desk.limits
        self._open = 0
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Every stream ends, now."""
        self._ending.set()

    def take(self, session: Session) -> None:
        """One more stream; RequestError where there are enough. To be given back."""
        mine = session.streams >= self._limits.streams_per_session
        if mine or self._open >= self._limits.streams:
            raise RequestError(
                CloudReason.TOO_MANY_STREAMS,
                f"{session.streams if mine else self._open} streams are open; close another page",
            )
        self._open += 1
        session.streams += 1

    async def stream(self, lasts: Callable[[], bool], after: int) -> AsyncIterator[bytes]:
        """Events after this number, until the session is over."""
        watch = await asyncio.to_thread(Watch, self._desk.database)
        quiet_since = time.monotonic()
        due = False
        try:
            yield b"retry: 2000\n\n"
            while lasts() and not self._ending.is_set():
                due = await asyncio.to_thread(watch.changed) or due
                found = await asyncio.to_thread(self._news, after) if due else ([], after)
                due = found is None
                lines, after = found or ([], after)
                now = time.monotonic()
                if not lines and now - quiet_since > self._limits.stream_sign_of_life_seconds:
                    lines = [b": here\n\n"]
                if lines:
                    quiet_since = now
                    yield b"".join(lines)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.stream_look_seconds):
                        await self._ending.wait()
        finally:
            await asyncio.to_thread(watch.close)

    def give_back(self, session: Session) -> None:
        """A stream is over."""
        self._open -= 1
        session.streams -= 1

    def _news(self, after: int) -> tuple[list[bytes], int] | None:
        """Events, and the number of the last one; None where the store refuses for now."""
        try:
            with self._desk.database.reading() as store:
                stored = reports.latest_detections(store, self._limits.stream_batch, after)
                first = stored[0].number if stored else 0
                missed = reports.count_between(store, DETECTIONS, after, first)
        except CloudError:
            return None
        if not stored:
            return [], after
        lines = [event("missed", None, {"count": missed})] if missed else []
        lines += [event("detection", one.number, detection(one, self._desk)) for one in stored]
        return lines, stored[-1].number


def event(kind: str, number: int | None, document: Mapping[str, Any]) -> bytes:
    """One event: a line of ASCII, whatever is in the texts."""
    shown = {
        name: printable(value) if isinstance(value, str) else value
        for name, value in document.items()
    }
    name = f"id: {number}\n" if number is not None else ""
    return f"{name}event: {kind}\ndata: {json.dumps(shown)}\n\n".encode("ascii")
