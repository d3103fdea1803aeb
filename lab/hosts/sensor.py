"""W and G on a host: the sensor with its store, and the cloud that it is connected to.

The pushed file waits in the cloud, and is offered to the sensor once the cloud is started. On slow
processors the sensor's time limits are longer, and an evaluator's processor time is counted slower
(lab.boot.patient, lab.boot.slow_evaluator); nothing else is changed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.supervisor.control import ask
from content.loss_causes import LossCause
from lab.cells.parts import Delivery
from lab.hosts.order import Order
from lab.hosts.placement import Death, Detected
from lab.hosts.tailing import Tail

CONTROL = Path("/run/bulkhead-lab.sock")
ADDRESS = "127.0.0.1:7443"
AGENT_ID = "lab-host"
ROLES = "roles.json"
LOG = "agent.log"
STATUS_SECONDS = 0.25
"""How often the sensor is asked for its status at most: it has better things to do."""

BALANCE_SECONDS = 10.0
MOST_WORDS = 500
"""Characters of a reason."""

PASSED = (LossCause.SUSPECT_EVENT, LossCause.NOT_EVALUATED)
"""Losses of events that came into a ring: they are accounted for without having been evaluated."""

STOP_SECONDS = 20.0
EVALUATORS = {
    # unchecked, slow
    (False, False): "agent.evaluator",
    (False, True): "lab.boot.slow_evaluator",
    (True, False): "lab.unchecked.evaluator",
    (True, True): "lab.boot.slow_unchecked",
}


@dataclass(slots=True)
class Sensor:
    """A `Host`."""

    folder: Path
    wanted: Order
    _services: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _status: Mapping[str, Any] = field(default_factory=dict)
    _asked: float = 0.0
    _log: Tail = field(init=False)
    _detections: Tail = field(init=False)
    _rejected: str = ""
    _deaths: list[Death] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Whatever earlier boots left in the logs is not of this one."""
        self._log = Tail(self.folder / LOG)
        self._detections = Tail(self.folder / "state" / "link" / "detections.jsonl")

    def start(self) -> None:
        """The supervisor, which starts the others."""
        roles = self.folder / ROLES
        unchecked = self.wanted.options.get("evaluator") == "unchecked"
        evaluator = EVALUATORS[unchecked, self.wanted.factor > 1]
        roles.write_text(json.dumps({"evaluator": evaluator}), encoding="ascii")
        roles.chmod(0o600)
        tls = self.folder / "tls"
        supervisor = ["agent.supervisor"]
        if self.wanted.factor > 1:
            supervisor = ["lab.boot.patient", f"{self.wanted.factor:g}"]
        self._serve(
            *supervisor,
            *("--state", str(self.folder / "state"), "--control", str(CONTROL)),
            *("--trust", str(tls / "root.json"), "--cloud", ADDRESS, "--tls", str(tls)),
            *("--agent-id", AGENT_ID, "--roles", str(roles), "--json-log"),
        )

    def push(self) -> None:
        """The cloud is there, and has it; once is enough."""
        if len(self._services) > 1:
            time.sleep(STATUS_SECONDS)
            return
        self._serve(
            *("cli.main", "cloud", "run", "--folder", str(self.folder / "cloud")),
            *("--listen", ADDRESS, "--unsafe-skip-validator"),
        )

    def settled(self) -> str:
        """Rejected with its reasons, in quarantine, left out, or in force."""
        self._look()
        self.deaths()
        content = self._status.get("content", {})
        if self._rejected:
            return f"refused: {self._rejected}"
        if any(one["hash"] == self.wanted.wanted for one in content.get("quarantine", ())):
            return "in quarantine"
        if content.get("quarantined_instances"):
            return "instance in quarantine"
        if self.wanted.wanted in content.get("unserved", {}):
            return f"refused: {reasons(content['unserved'][self.wanted.wanted])}"
        return self._in_force(content)

    def _in_force(self, content: Mapping[str, Any]) -> str:
        active = [one["hash"] for one in content.get("active", ())]
        worker = self._status.get("roles", {}).get("evaluator")
        if worker is None:
            return ""
        if self.wanted.wanted in worker["files"]:
            return "in force"
        if self.wanted.delivery is Delivery.POWER_CUT:
            return "in force as before"
        # What was in the store and is not in force any more was found damaged there.
        present = self.wanted.delivery is Delivery.PRESENT
        return "refused: left out" if present and self.wanted.wanted not in active else ""

    def detections(self) -> Iterator[Detected]:
        """From the link's log."""
        for line in self._detections.lines():
            one = json.loads(line)
            inputs = one["inputs"]
            yield Detected(one["instance"], str(inputs.get("path") or inputs.get("image", "")))

    def deaths(self) -> list[Death]:
        """As the supervisor's log tells of them."""
        for line in self._log.lines():
            said = _happening(line)
            if said.get("happening") == "evaluator died":
                self._deaths.append(_death(said))
            elif said.get("happening") == "content rejected" and self._is_wanted(said):
                self._rejected = reasons(said.get("problems", ()))
        return list(self._deaths)

    def _is_wanted(self, said: Mapping[str, Any]) -> bool:
        return bool(said.get("hash") == self.wanted.wanted)

    def gone(self) -> str:
        """A supervisor that has ended does not come back by itself here."""
        if self._services and self._services[0].poll() is not None:
            return f"the supervisor ended with {self._services[0].returncode}"
        return ""

    def repair(self) -> list[str]:
        """Nobody has to; where it should be needed all the same, it is a start anew."""
        self.stop()
        self.start()
        return ["log in to the host", "start the sensor again"]

    def facts(self) -> Mapping[str, Any]:
        """Its books, once they balance."""
        deadline = time.monotonic() + BALANCE_SECONDS
        while True:
            self._asked = 0.0
            self._look()
            lost, uncounted = books(self._status)
            if uncounted == 0 or time.monotonic() > deadline:
                return {
                    "events_lost": lost,
                    "events_uncounted": uncounted,
                    "said": self._words(),
                    "reduced": self._status.get("reduced_because", []),
                }
            time.sleep(STATUS_SECONDS)

    def _words(self) -> str:
        """What was said of the file, by the cloud that was not heard and by the sensor."""
        cloud = self.wanted.options.get("cloud", "")
        return "; ".join([f"the cloud: {cloud}"] * bool(cloud) + [f"the sensor: {self.settled()}"])

    def stop(self) -> None:
        """End both."""
        for one in self._services:
            one.send_signal(signal.SIGTERM)
        for one in self._services:
            try:
                one.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()
        self._services.clear()

    def _serve(self, module: str, *arguments: str) -> None:
        with (self.folder / LOG).open("ab") as log:
            self._services.append(
                subprocess.Popen(
                    [sys.executable, "-I", "-m", module, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "GRPC_VERBOSITY": "NONE"},
                )
            )

    def _look(self) -> None:
        if time.monotonic() < self._asked + STATUS_SECONDS:
            return
        self._asked = time.monotonic()
        try:
            self._status = ask(CONTROL)
        except (OSError, ValueError):
            return


def reasons(problems: Iterable[Mapping[str, str]]) -> str:
    """The reason codes among problems, each once."""
    codes = [str(one.get("reason", "")) for one in problems]
    return ", ".join(dict.fromkeys(codes))[:MOST_WORDS]


def books(status: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Events lost, and events that nobody can account for; None where it does not answer."""
    if not status or not status.get("collection"):
        return None, None
    rings = status["collection"]["rings"].values()
    events = status["events"]
    accounted = sum(int(one["accounted"]) for one in rings)
    passed = sum(int(one["count"]) for one in status["losses"] if one["cause"] in PASSED)
    return int(events["lost"]), accounted - int(events["evaluated"]) - passed


def _happening(line: str) -> Mapping[str, Any]:
    """What a line of the supervisor's log says; nothing where it is another's."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _death(said: Mapping[str, Any]) -> Death:
    number = int(said.get("signal") or 0)
    how = signal.Signals(number).name if number else f"status {said.get('exit_code')}"
    words = [said.get("cause"), how, said.get("instance"), said.get("action")]
    return Death(
        "evaluator", int(said["pid"]), " ".join(str(one) for one in words if one), said["time"]
    )
