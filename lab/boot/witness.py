"""An ordinary service of a guest that reports on the sensor it finds, then turns the guest off.

    1. the sensor's status at the very moment at which ordinary services start
    2. a canary and a named pipe again and again, until detections have come in calm for a while:
       when was each canary run, when was it in the detection log
    3. what the sensor, systemd and the kernel know of this boot by then

All times are seconds since the kernel's start.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.supervisor.control import ask
from agent.supervisor.settings import DEFAULT_CONTROL, DEFAULT_STATE
from lab.boot import systemd
from lab.boot.lines import DONE, PORT, READY, Port
from lab.demo.scenario import ipc_event

CANARY = "bulkhead-exec-canary"
TRACE = Path("/sys/kernel/tracing/trace")
DETECTIONS = DEFAULT_STATE / "link" / "detections.jsonl"
CANARY_SECONDS = 0.5
LOOK_SECONDS = 0.02
CALM_SECONDS = 10.0
MOST_SECONDS = 300.0


@dataclass(slots=True)
class Canaries:
    """The canary program, and when each run of it began and was in the detection log."""

    folder: Path
    ran: list[float] = field(default_factory=list)
    logged: dict[int, float] = field(default_factory=dict)
    _read: int = 0

    def run(self) -> None:
        """Once more; its number is its argument."""
        program = self.folder / "bulkhead-canary-boot"
        if not program.exists():
            shutil.copy("/bin/true", program)
        self.ran.append(time.monotonic())
        number = str(len(self.ran) - 1)
        os.waitpid(os.posix_spawn(program, [str(program), number], {}), 0)

    def look(self) -> None:
        """Note what has come to the log since the last look."""
        try:
            data = DETECTIONS.read_bytes()[self._read :]
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            number = canary_number(json.loads(line))
            if number is not None and number < len(self.ran):
                self.logged.setdefault(number, time.monotonic())


def canary_number(detection: Mapping[str, Any]) -> int | None:
    """Which run of our canary a detection is of; None if it is of something else."""
    if detection["instance"] != CANARY:
        return None
    number = str(detection["inputs"].get("command_line", "")).rpartition(" ")[2]
    return int(number) if number.isdecimal() else None


def main() -> int:
    """Report, and turn the guest off."""
    port = Port(os.environ[PORT])
    port.line(READY)
    port.say("start", at=time.monotonic(), status=_status())
    with tempfile.TemporaryDirectory() as folder:
        canaries = _watch(Path(folder))
    logged = [canaries.logged.get(number) for number in range(len(canaries.ran))]
    port.say("canaries", ran=canaries.ran, logged=logged)
    # The detection log's clock is that of the world; deaths are told in it as well.
    port.say("clock", wall_ns=time.time_ns(), at=time.monotonic())
    port.say("status", status=_status())
    port.say("services", services=[systemd.document(one) for one in systemd.services()])
    port.say("collection", at=_collection_began())
    port.say("programs", started=_program_starts())
    port.line(DONE)
    subprocess.run(["/bin/systemctl", "--no-block", "poweroff"], check=True)
    return 0


def _watch(folder: Path) -> Canaries:
    """Until the last canary is detected and no evaluator has died for a while."""
    canaries, deaths, began = Canaries(folder), -1, time.monotonic()
    calm_since = began
    while time.monotonic() - began < MOST_SECONDS:
        canaries.run()
        ipc_event(folder)
        until = time.monotonic() + CANARY_SECONDS
        while time.monotonic() < until:
            canaries.look()
            time.sleep(LOOK_SECONDS)
        now = len((_status() or {"deaths": ()})["deaths"])
        if now != deaths or len(canaries.ran) - 1 not in canaries.logged:
            deaths, calm_since = now, time.monotonic()
        if time.monotonic() - calm_since > CALM_SECONDS:
            break
    return canaries


def _status() -> dict[str, Any] | None:
    try:
        return ask(DEFAULT_CONTROL)
    except (OSError, ValueError):
        return None


def _collection_began() -> float | None:
    """When the sensor said first that it collects, by the journal's clock."""
    shown = subprocess.run(
        ["/bin/journalctl", "--unit", systemd.SENSOR, "--boot", "--output=json", "--no-pager"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    for line in shown.stdout.splitlines():
        entry = json.loads(line)
        if '"happening": "collection"' in str(entry.get("MESSAGE")):
            return int(entry["__MONOTONIC_TIMESTAMP"]) / systemd.MICROSECONDS
    return None


def _program_starts() -> list[float]:
    """When programs were started since the kernel's start, by the kernel's own trace."""
    return program_starts(TRACE.read_text(encoding="utf-8", errors="replace"))


def program_starts(trace: str) -> list[float]:
    """Seconds in the kernel's lines: `  name-1  [000] .....  12.345678: sched_process_exec: …`."""
    heads = (line.partition(": sched_process_exec: ") for line in trace.splitlines())
    return [float(head.split()[-1]) for head, found, _ in heads if found]


if __name__ == "__main__":
    sys.exit(main())
