"""What `bench.sessions` measures: `bulkhead cloud run` as it is, and the herd of agents before it.

The serving process is looked at from outside only: memory (PSS) and processor time from /proc.
Agents are in several processes, so that none of them starves the others (`bench.session_agents`).
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.harness import CHECKOUT
from tests.process.cloud_process import BULKHEAD, Cloud

LOOK_SECONDS = 0.25


class SessionsError(RuntimeError):
    """Something did not come about in time; says how far it has come."""


@dataclass
class Serving:
    """`bulkhead cloud run` on a cloud's folder."""

    cloud: Cloud
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve, on the same port as before; returns once agents can connect."""
        listen = self.cloud.address or "127.0.0.1:0"
        reading, writing = os.pipe()
        command = ["cloud", "run", "--folder", str(self.cloud.folder), "--listen", listen]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*BULKHEAD, *command, "--ready-fd", str(writing)],
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=[writing],
                cwd=CHECKOUT,
            )
        os.close(writing)
        with os.fdopen(reading, encoding="ascii") as ready:
            self.cloud.address = json.loads(ready.readline())["address"]

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it, by default without a chance to tidy up."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def memory(self) -> int:
        """PSS in bytes."""
        lines = Path(f"/proc/{self._pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        (line,) = (line for line in lines if line.startswith("Pss:"))
        return int(line.split()[1]) * 1024

    def most_memory(self) -> int:
        """The most that was resident so far (RSS), in bytes."""
        lines = Path(f"/proc/{self._pid}/status").read_text(encoding="ascii").splitlines()
        (line,) = (line for line in lines if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    def processor_seconds(self) -> float:
        """User and system time of all threads so far."""
        fields = Path(f"/proc/{self._pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    @property
    def _pid(self) -> int:
        if self.process is None:
            raise SessionsError("nobody serves")
        return self.process.pid


class Herd:
    """Agents in several processes; every order goes to all of them, and answers are added up."""

    def __init__(self, serving: Serving, processes: int) -> None:
        self._workers = [
            subprocess.Popen(
                [sys.executable, "-m", "bench.session_agents"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=CHECKOUT,
                text=True,
            )
            for _ in range(processes)
        ]
        for number, worker in enumerate(self._workers):
            self._tell(
                worker,
                {
                    "folder": str(serving.cloud.folder),
                    "address": serving.cloud.address,
                    "name": f"host-{number}",
                },
            )

    def order(self, do: str, **values: Any) -> dict[str, Any]:
        """Give an order; how the herd is then. Numbers of agents are shared out."""
        count = len(self._workers)
        for number, worker in enumerate(self._workers):
            shared = dict(values)
            if "agents" in shared:
                shared["agents"] = (values["agents"] + count - 1 - number) // count
            self._tell(worker, {"do": do, **shared})
        return _added([self._answer(worker) for worker in self._workers])

    def until(
        self, holds: Callable[[dict[str, Any]], bool], seconds: float, what: str
    ) -> dict[str, Any]:
        """Look until it holds; SessionsError after so many seconds."""
        end = time.monotonic() + seconds
        while not holds(found := self.order("status")):
            if time.monotonic() > end:
                raise SessionsError(f"{what}: not within {seconds:g} s: {found}")
            time.sleep(LOOK_SECONDS)
        return found

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.kill()
            worker.wait()

    @staticmethod
    def _tell(worker: subprocess.Popen[str], order: dict[str, Any]) -> None:
        if worker.stdin is None:
            raise SessionsError("no pipe")
        worker.stdin.write(json.dumps(order) + "\n")
        worker.stdin.flush()

    @staticmethod
    def _answer(worker: subprocess.Popen[str]) -> dict[str, Any]:
        line = worker.stdout.readline() if worker.stdout else ""
        if not line:
            raise SessionsError("a process of agents has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def herd(serving: Serving, processes: int) -> Iterator[Herd]:
    """A herd that is ended in the end."""
    many = Herd(serving, processes)
    try:
        yield many
    finally:
        many.close()


def raise_descriptor_limit() -> None:
    """As many open files as this user may have; children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _added(answers: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in answers[0].items():
        values = [one[name] for one in answers]
        if isinstance(value, dict):
            found[name] = dict(sum((Counter(one) for one in values), Counter()))
        elif name.startswith("last_"):
            found[name] = max(values)
        elif name.startswith("first_"):
            found[name] = min((one for one in values if one), default=0.0)
        else:
            found[name] = sum(values)
    return found
