"""Many light agents in one process, at the orders of `bench.sessions`.

Orders are lines of JSON on standard input, each answered by one on standard output that says how
the agents are. Moments are of CLOCK_MONOTONIC, which all processes share.
"""

import asyncio
import gc
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from bench.session_agent import Agent, Surroundings
from cloud.folder import CloudFolder
from cloud.limits import LIMITS


class Agents:
    """All agents of this process; an order is the name of a method, with its arguments."""

    def __init__(self, folder: Path, address: str, name: str) -> None:
        cloud = CloudFolder(folder)
        authority = cloud.authority_certificate.read_bytes()
        self._world = Surroundings(authority, cloud.issuer(), address)
        self._name = name
        self._agents: list[Agent] = []
        self._sessions: list[asyncio.Task[None]] = []
        self._deaf: list[Agent] = []
        self._work: list[asyncio.Task[None]] = []
        self._deafened: list[asyncio.Task[None]] = []

    async def obey(self, do: str, **values: Any) -> dict[str, Any]:
        """Carry one order out, and say how the agents are."""
        orders = (
            self.status,
            self.connect,
            self.deafen,
            self.hush,
            self.beat,
            self.evaluate,
            self.crash,
            self.forget,
            self.come_back,
        )
        await {one.__name__: one for one in orders}[do](**values)
        return self._told()

    async def status(self) -> None:
        """Nothing but the answer."""

    async def connect(self, agents: int, seconds: float) -> None:
        """So many in all, the new ones evenly over that time."""
        self._begin(self._connect(agents, seconds))

    async def deafen(self, agents: int) -> None:
        """So many more that send and never read."""
        for number in range(agents):
            one = Agent(f"{self._name}-deaf-{number}", self._world, deaf=True)
            self._deaf.append(one)
            self._deafened.append(asyncio.create_task(one.run()))

    async def hush(self) -> None:
        """The deaf ones go."""
        for task in self._deafened:
            task.cancel()

    async def beat(self, seconds: float) -> None:
        """From now on a heartbeat of each agent in that time, evenly."""
        self._begin(self._beat(seconds))

    async def evaluate(self) -> None:
        """A heartbeat at once of all that have content."""
        for one in self._agents:
            if one.active_at and not one.withdrawn_at:
                await one.beat()

    async def crash(self, agents: int, content: str) -> None:
        """So many of those that have the content report that it has killed the evaluator."""
        having = [one for one in self._agents if one.content.hex() == content]
        for number, one in enumerate(having[:agents]):
            await one.crash(number)

    async def come_back(self) -> None:
        """The cloud has gone: all of them lose their sessions, and try to come back."""
        for task in self._sessions:
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        for one in self._agents:
            one.connected_at = 0.0
        await self.forget()
        self._sessions = [
            asyncio.create_task(one.run(after_a_session=True)) for one in self._agents
        ]

    async def forget(self) -> None:
        """Count from zero."""
        self._world.ends.clear()
        self._world.tries = 0
        for one in self._agents:
            one.active_at = one.withdrawn_at = 0.0

    def _begin(self, work: Any) -> None:
        self._work.append(asyncio.create_task(work))

    async def _connect(self, agents: int, seconds: float) -> None:
        began, first = time.monotonic(), len(self._agents)
        for number in range(first, agents):
            one = Agent(f"{self._name}-{number}", self._world)
            self._agents.append(one)
            self._sessions.append(asyncio.create_task(one.run()))
            due = began + (number - first + 1) / (agents - first) * seconds
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _beat(self, seconds: float) -> None:
        while True:
            began = time.monotonic()
            for number, one in enumerate(self._agents):
                due = began + number / len(self._agents) * seconds
                if due > time.monotonic():
                    await asyncio.sleep(due - time.monotonic())
                await one.beat()
            await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))

    def _told(self) -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        withdrawn = [one.withdrawn_at for one in self._agents if one.withdrawn_at]
        connected = [one.connected_at for one in self._agents if one.connected_at]
        active = [one.active_at for one in self._agents if one.active_at]
        return {
            "connected": len(connected),
            "deaf": sum(1 for one in self._deaf if one.connected_at),
            "last_connected": max(connected, default=0.0),
            "active": len(active),
            "last_active": max(active, default=0.0),
            "withdrawn": len(withdrawn),
            "first_withdrawn": min(withdrawn, default=0.0),
            "last_withdrawn": max(withdrawn, default=0.0),
            "ends": dict(self._world.ends),
            "tries": self._world.tries,
            "processor_seconds": used.ru_utime + used.ru_stime,
        }


async def main() -> None:
    """Obey until standard input ends; its first line says who the agents are."""
    loop = asyncio.get_running_loop()
    first = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    agents = Agents(Path(first["folder"]), first["address"], first["name"])
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await agents.obey(**json.loads(line))), flush=True)
    os._exit(0)  # to close thousands of channels one by one is nobody's wish


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.set_threshold(LIMITS.objects_between_collections)
    asyncio.run(main())
