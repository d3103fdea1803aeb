"""Hints that something was committed: who hears one looks into the store at once.

A hint may be lost, late or wrong, because what is so is in the store: everybody asks there as well,
only less often while hints can come.
"""

import asyncio
from typing import Protocol

from cloud.messaging.line import Line

SUBJECT = "bulkhead.changed"


class Announcements(Protocol):
    """heard: set with each hint, to be cleared by who looks; `listening`: whether any can come."""

    heard: asyncio.Event

    @property
    def listening(self) -> bool:
        """Whether hints can come."""

    async def tell(self) -> None:
        """Let the others know that something was committed."""


class NoAnnouncements:
    """For a serving process on its own, or one that only asks the store."""

    listening = False

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    async def tell(self) -> None:
        """Nobody to tell."""


class NatsAnnouncements:
    """Hints through NATS."""

    def __init__(self, line: Line, replica: str) -> None:
        self.heard = asyncio.Event()
        self._line = line
        self._replica = replica
        self._listens = False
        line.begun.append(self._begin)

    @property
    def listening(self) -> bool:
        """While there is a connection."""
        return self._line.up

    async def tell(self) -> None:
        """To whoever listens now."""
        await self._line.tell(SUBJECT, self._replica.encode("ascii"))

    async def _begin(self) -> None:
        if not self._listens:
            await self._line.listen(SUBJECT, lambda _: self.heard.set())
            self._listens = True
        self.heard.set()  # what was told meanwhile is lost
