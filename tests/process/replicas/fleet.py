"""Two replicas of one cloud, agents spread over both, and what has to be so in the end."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from cloud.folder import CloudFolder, create, operator_folder
from cloud.rollout.plan import STAGED, Plan
from cloud.store.postgresql import PostgresAddress
from cloud.store.tables import DETECTIONS
from tests.process.cloud_files import channel_file, write
from tests.process.cloud_process import Cloud
from tests.process.replicas.steady_agent import SteadyAgent
from tests.process.waiting import until

STAGES = ("internal", "canary", "early_access", "general", "complete")
SLOW = STAGED.quickened(1.5, 10)
"""A plan whose stages take long enough that something can happen in the middle of one."""

QUICK_LEASES: dict[str, Any] = {"replica_lease_seconds": 3.0, "replica_beat_seconds": 0.5}


@dataclass
class Fleet:
    """Replicas `a` and `b` of one cloud; commands are given in the folder of `a`."""

    a: Cloud
    b: Cloud
    agents: list[SteadyAgent] = field(default_factory=list)

    def start(self, **limits: float) -> None:
        """Serve both."""
        for one in (self.a, self.b):
            one.start(**(QUICK_LEASES | limits))

    def connect(self, count: int) -> None:
        """So many agents, by turns with one replica and the other, ready to go to the other one."""
        for number in range(len(self.agents), count):
            addresses = [self.a.address, self.b.address]
            name = f"web-{number}"
            turned = addresses[number % 2 :] + addresses[: number % 2]
            agent = SteadyAgent(name, self.a.agent_folder(name), turned, most=200)
            self.agents.append(agent.start())
        until(lambda: all(agent.sessions for agent in self.agents), 20)

    def push(self, version: int = 1) -> str:
        """Push a sound Channel File; its hash."""
        file = write(self.a.folder.parent / f"ipc-{version}.channel", channel_file(version))
        return str(self.a.push(file)["pushed"][0]["content_hash"])

    def state(self) -> str:
        """Where the newest rollout stands; AssertionError where it was halted."""
        newest = self.a.json("rollout list")["rollouts"][-1]
        assert newest["state"] != "halted", newest
        return str(newest["state"])

    def leader(self) -> Cloud:
        """The replica that said last that it leads."""
        until(lambda: any('"leading"' in one.log() for one in (self.a, self.b)))
        return max((self.a, self.b), key=_led_at)

    def connected(self) -> list[str]:
        """Hosts that are shown as connected."""
        return [one["agent_id"] for one in self.a.json("fleet")["hosts"] if one["connected"]]

    def require_all_well(self, version: int = 1) -> None:
        """All that is promised: content, reports, stages and the audit log."""
        until(lambda: self.state() == "complete", 40)
        until(lambda: {agent.version() for agent in self.agents} == {version}, 20)
        for agent in self.agents:
            agent.quieten()
        until(lambda: all(agent.delivered() for agent in self.agents), 30)
        until(lambda: len(self.connected()) == len(self.agents), 20)
        sent = sorted(name for agent in self.agents for name in agent.reported)
        # What a dead replica had fetched from the stream comes to another one after a while.
        until(lambda: self.stored_reports().total() >= len(sent), 40)
        stored = sorted(self.stored_reports().elements())
        assert stored == sent, "a report was lost or stored twice"
        subject = f"4/{version} "
        entries = self.a.json("audit list")["entries"]
        advances = [one for one in entries if one["action"] == "advance"]
        details = [json.loads(one["detail"]) for one in advances if subject in one["subject"]]
        moves = sorted((STAGES.index(one["from"]), STAGES.index(one["to"])) for one in details)
        assert moves == [(0, 1), (1, 2), (2, 3), (3, 4)], "a stage was advanced twice or left out"
        self.a.json("audit verify")

    def stored_reports(self) -> Counter[str]:
        """How often each detection lies in the store."""
        with (
            closing(CloudFolder(self.a.folder).look()) as database,
            database.reading() as store,
        ):
            return Counter(store.execute(select(DETECTIONS.c.report_id)).scalars())

    def close(self) -> None:
        """End agents and replicas."""
        for agent in self.agents:
            agent.stop()
        for one in (self.a, self.b):
            one.kill()


@contextmanager
def new_fleet(
    folder: Path, store: PostgresAddress, plan: Plan = SLOW, names: Sequence[str] = ()
) -> Iterator[Fleet]:
    """Two folders of one cloud, which nobody serves yet."""
    first, second = folder / "a" / "cloud", folder / "b" / "cloud"
    first.parent.mkdir()
    create(first, operator_folder(first), datetime.now(UTC), plan, names, store)
    shutil.copytree(first, second)
    fleet = Fleet(Cloud(first), Cloud(second))
    try:
        yield fleet
    finally:
        fleet.close()


def _led_at(one: Cloud) -> str:
    times = [line[:60] for line in one.log().splitlines() if '"event": "leading"' in line]
    return max(times, default="")
