"""A sensor whose evaluators are all an attacker's: real supervisor, real sandbox."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.supervisor.control import ask
from agent.supervisor.verdicts import start_time_ns
from tests.needs import require_sandbox_users
from tests.patience import patient
from tests.process.waiting import until

ORDER_BYTES = 4096
TRIES = 3


@dataclass
class Attacked:
    """A supervisor whose evaluators are all the attacker's."""

    folder: Path
    process: "subprocess.Popen[bytes]"
    victim: "subprocess.Popen[bytes]"
    known: dict[str, dict[str, Any]] = field(default_factory=dict)

    def status(self) -> dict[str, Any]:
        """What it says now."""
        return ask(self.folder / "control.sock", timeout_seconds=patient(10.0))

    def answers(self) -> bool:
        """Whether it can be asked yet."""
        with suppress(OSError):
            return bool(self.status())
        return False

    def log(self) -> str:
        """What the supervisor has said so far."""
        return (self.folder / "log").read_text(encoding="utf-8")

    def worker(self) -> int:
        """The evaluator at work, once there is one and another one stands by."""
        found: list[int] = []

        def working() -> bool:
            roles = self.status()["roles"]
            ready = [one for one in roles["standby"] if one["stage"] == "ready"]
            if roles["evaluator"] and ready:
                found.append(roles["evaluator"]["pid"])
            return bool(found)

        until(working, 20.0)
        return found[-1]

    def attack(self, name: str) -> tuple[int, dict[str, Any]]:
        """Let an evaluator at work attack; its process id, and the crash report of its death.

        On a busy machine one may be ended for its silence before it has begun: then another one.
        """
        before = {one["id"] for one in self.deaths()}
        for _ in range(TRIES):
            attacker = self.worker()
            self._tell(name, attacker)
            until(lambda: self._died(attacker), 20.0)  # noqa: B023 — over before the next turn
            found = [one for one in self.deaths() if one["id"] not in before and one["attempts"]]
            if found:
                return attacker, found[0]
        raise AssertionError(f"nobody was found out in {name}: {self.log()[-2000:]}")

    def _died(self, attacker: int) -> bool:
        return any(
            "evaluator died" in line and f"pid={attacker} " in line
            for line in self.log().splitlines()
        )

    def deaths(self) -> list[dict[str, Any]]:
        """All crash reports so far, told apart by their ids."""
        for one in self.status()["deaths"]:
            self.known.setdefault(one["id"], one)
        return list(self.known.values())

    def _tell(self, name: str, attacker: int) -> None:
        """In place, because the attackers have the file open already."""
        told = {"attack": name, "attacker": attacker, "victim": self.victim.pid}
        told["victim_start"] = start_time_ns(self.victim.pid) or 0
        with (self.folder / "attack").open("r+b") as file:
            file.write(json.dumps(told).encode().ljust(ORDER_BYTES))


@contextmanager
def attacked() -> Iterator[Attacked]:
    """A supervisor, a collector that is played, evaluators that attack; ended in order."""
    require_sandbox_users()
    folder = Path(tempfile.mkdtemp(prefix="bulkhead-test-", dir="/tmp"))
    folder.chmod(0o711)
    script = {"first": {"rings": [1], "serves": [[1]], "events": 5}, "joins": []}
    (folder / "script.json").write_text(json.dumps(script))
    (folder / "attack").write_bytes(b" " * ORDER_BYTES)
    (folder / "attack").chmod(0o644)
    table = folder / "roles.json"
    played = ("collector", "tests.process.played_collector")
    attacker = ("evaluator", "tests.process.played_attacker")
    table.write_text(json.dumps(dict([played, attacker])))
    table.chmod(0o600)
    command = [sys.executable, "-I", "-m", "tests.process.quick_supervisor"]
    command += ["--state", str(folder), "--control", str(folder / "control.sock")]
    command += ["--roles", str(table), "--collect", "1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)
    victim = subprocess.Popen(["sleep", "600"])
    try:
        started = Attacked(folder, process, victim)
        until(started.answers, 20.0)
        yield started
        process.terminate()
        assert process.wait(patient(15.0)) == 0
    finally:
        for one in (process, victim):
            one.kill()
            one.wait()
        shutil.rmtree(folder)
