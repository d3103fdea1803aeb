"""A sensor whose evaluators are all an attacker's: real supervisor, real sandbox."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.supervisor.control import ask
from agent.supervisor.verdicts import start_time_ns
from tests.needs import require_sandbox_users
from tests.patience import patient
from tests.process.waiting import until


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

    def attack(self, name: str) -> dict[str, Any]:
        """Let the evaluator at work attack; the crash report of its death."""
        attacker, number = self.worker(), len(self.deaths())
        told = {"attack": name, "attacker": attacker, "victim": self.victim.pid}
        told["victim_start"] = start_time_ns(self.victim.pid) or 0
        self._tell(json.dumps(told).encode())
        try:
            until(lambda: len(self.deaths()) > number, 20.0)
        except AssertionError:
            os.kill(attacker, signal.SIGKILL)  # The next attack needs a fresh one.
            raise AssertionError(f"nobody died of {name}: {self.log()[-2000:]}") from None
        return self.deaths()[number]

    def deaths(self) -> list[dict[str, Any]]:
        """All crash reports so far, told apart by their ids."""
        for one in self.status()["deaths"]:
            self.known.setdefault(one["id"], one)
        return list(self.known.values())

    def _tell(self, words: bytes) -> None:
        """In place, because the attackers have the file open already."""
        with (self.folder / "attack").open("r+b") as file:
            file.write(words.ljust(4096))


@contextmanager
def attacked() -> Iterator[Attacked]:
    """A supervisor, a collector that is played, evaluators that attack; ended in order."""
    require_sandbox_users()
    folder = Path(tempfile.mkdtemp(prefix="bulkhead-test-", dir="/tmp"))
    folder.chmod(0o711)
    script = {"first": {"rings": [1], "serves": [[1]], "events": 5}, "joins": []}
    (folder / "script.json").write_text(json.dumps(script))
    (folder / "attack").write_bytes(b" " * 4096)
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
        until((folder / "control.sock").exists)
        yield Attacked(folder, process, victim)
        process.terminate()
        assert process.wait(patient(15.0)) == 0
    finally:
        for one in (process, victim):
            one.kill()
            one.wait()
        shutil.rmtree(folder)
