"""P on a host: the agent, and the service manager that starts it again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.hosts import service_manager
from lab.hosts.order import Order
from lab.hosts.placement import Death, Detected
from lab.hosts.service_manager import RESTART_SECONDS, SAME_DEATHS, Verdict
from lab.hosts.stored import delete_bad, take_pushed
from lab.hosts.tailing import Tail

MODULE = "lab.hosts.agent_process"
SAID = "agent.jsonl"
LOG = "agent.log"
STABLE_SECONDS = 5.0
"""How long after its first word an agent has to detect something, for that to be protection."""

HUNG_SECONDS = 20.0
"""How long an agent that runs may say nothing until it is taken for hung, times the factor."""

START_SECONDS = 90.0
"""The same for one that has not said anything yet, as systemd's TimeoutStartSec."""


@dataclass(slots=True)
class AgentService:
    """A `Host`. What the agent says are lines of JSON: `ready`, `refused`, detections, `alive`."""

    folder: Path
    wanted: Order
    module: str = MODULE
    _agent: subprocess.Popen[bytes] | None = None
    _starts: list[float] = field(default_factory=list)
    _deaths: list[Death] = field(default_factory=list)
    _in_a_row: int = 0
    _protected: bool = False
    _ready: float | None = None
    _gone: str = ""
    _settled: str = ""
    _heard: float = field(default_factory=time.monotonic)
    _said: Tail = field(init=False)

    def __post_init__(self) -> None:
        """What an earlier boot's agent said is not of this one."""
        self._said = Tail(self.folder / SAID)

    def start(self) -> None:
        """Start the agent."""
        self._starts.append(time.monotonic())
        self._heard, self._ready, self._protected = time.monotonic(), None, False
        with (self.folder / LOG).open("ab") as log:
            self._agent = subprocess.Popen(
                [sys.executable, "-I", "-m", self.module, str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(os.environ),
            )

    def push(self) -> None:
        """It lies on disk; the agent looks there now and then."""
        self._settled = ""
        take_pushed(self.folder)

    def settled(self) -> str:
        """What the agent said of its content last."""
        return self._settled

    def detections(self) -> Iterator[Detected]:
        """From what the agent says."""
        for line in self._said.lines():
            one = json.loads(line)
            self._heard = time.monotonic()
            self._ready = self._ready or self._heard
            if "instance" in one:
                # What it sees between its start and its next death is no protection.
                self._protected = self._protected or self._heard - self._ready > STABLE_SECONDS
                yield Detected(one["instance"], one["what"])
            elif "content" in one:
                self._settled = one["content"]

    def deaths(self) -> list[Death]:
        """Those of the agent; each is followed by what the service manager does."""
        if self._agent is not None and self._agent.poll() is not None and not self._gone:
            self._ended(self._agent.returncode, self._agent.pid)
        return list(self._deaths)

    def gone(self) -> str:
        """Failed for good, dead again and again before it protected, or alive and silent."""
        silent = time.monotonic() - self._heard
        limit = HUNG_SECONDS if self._ready else START_SECONDS
        if not self._gone and silent > limit * self.wanted.factor:
            return f"the agent runs and has said nothing for {silent:.0f} s"
        return self._gone

    def repair(self) -> list[str]:
        """What a person does where an agent does not come back."""
        self.stop()
        delete_bad(self.folder)
        self._gone, self._in_a_row = "", 0
        self._starts.clear()
        self.start()
        return ["log in to the host", "stop the agent", "delete the file", "start the agent"]

    def facts(self) -> Mapping[str, Any]:
        """It keeps no account."""
        return {"events_lost": None, "events_uncounted": None, "said": self._settled}

    def stop(self) -> None:
        """End it, whatever it is doing."""
        if self._agent is not None:
            self._agent.kill()
            self._agent.wait()
            self._agent = None

    def _ended(self, status: int, pid: int) -> None:
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        self._deaths.append(Death("agent", pid, how, time.time()))
        self._agent = None
        self._in_a_row = 0 if self._protected else self._in_a_row + 1
        what = service_manager.verdict(self._starts, time.monotonic(), status)
        if what is not Verdict.RESTART:
            self._gone = f"agent.service: {what}"
        elif self._in_a_row >= SAME_DEATHS:
            self._gone = f"the agent died {self._in_a_row} times in a row, last of {how}"
        else:
            time.sleep(RESTART_SECONDS)
            self.start()
