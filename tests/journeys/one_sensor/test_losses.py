"""A storm while the evaluator is stopped: what was produced is evaluated or counted, and told."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agent.supervisor.limits import LIMITS
from lab.demo import scenario
from lab.demo.claims import ClaimError
from lab.demo.processes import wait_for
from lab.demo.steps import Demonstration
from lab.demo.world import AGENT_ID
from tests.journeys.helpers import protected, role, settled, status

FILE = 2
HUNG_NS = LIMITS.heartbeat_seconds * 1e9
OPENS = 100_000
FORKS = 300

STORM = """
import os, sys
for _ in range(int(sys.argv[2])):
    os.close(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT))
children = []
for _ in range(int(sys.argv[3])):
    children.append(os.fork())
    if not children[-1]:
        os.execv("/bin/true", ["true"])
for child in children:
    os.waitpid(child, 0)
"""


FLOOD = """
import os, sys
while True:
    os.close(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT))
"""


def lost(now: Mapping[str, Any], cause: str, template_type: int) -> int:
    """How many of a cause and Template Type the status shows."""
    counts = {(one["cause"], one["template_type"]): one["count"] for one in now["losses"]}
    return int(counts.get((cause, template_type), 0))


def accounted(now: Mapping[str, Any], template_type: int) -> int:
    """Records of a ring that are accounted for."""
    return int(now["collection"]["rings"][str(template_type)]["accounted"])


def set_aside(now: Mapping[str, Any]) -> int:
    """How many events were not evaluated, because an evaluator ended when it was at them."""
    causes = ("SUSPECT_EVENT", "NOT_EVALUATED")
    return sum(int(one["count"]) for one in now["losses"] if one["cause"] in causes)


def balanced(now: Mapping[str, Any]) -> bool:
    """Everything that was written to the rings was evaluated, or set aside."""
    rings = (now["collection"] or {"rings": {}})["rings"].values()
    accounted_for = sum(ring["accounted"] for ring in rings)
    return bool(now["protecting"]) and accounted_for == now["events"]["evaluated"] + set_aside(now)


def books(sensor: Demonstration, written: int) -> Mapping[str, Any]:
    """The status once they balance, up to that position of the file ring; what it says if never."""
    try:
        return sensor.world.wait(
            "books that balance",
            lambda now: balanced(now) and accounted(now, FILE) >= written,
            20.0,
        )
    except ClaimError as error:
        now = status(sensor)
        told = ("protecting", "events", "collection", "roles", "losses", "deaths")
        raise AssertionError(f"{error}: {written=}, {[(one, now[one]) for one in told]}") from error


def test_a_storm_while_the_evaluator_is_stopped_is_accounted_for(sensor: Demonstration) -> None:
    """Whoever stops the evaluator and fills the ring could act without a trace."""
    settled(sensor)
    protected(sensor)
    before, pid = status(sensor), role(sensor, "evaluator")
    os.kill(pid, signal.SIGSTOP)
    path = str(sensor.scratch / "stormed")
    command = [sys.executable, "-I", "-S", "-c", STORM, path, str(OPENS), str(FORKS)]
    subprocess.run(command, check=True, timeout=60)
    sensor.world.wait(
        "successor", lambda now: (now["roles"]["evaluator"] or {"pid": pid})["pid"] != pid, 20.0
    )
    protected(sensor)
    written = status(sensor)["collection"]["rings"][str(FILE)]["produced"]
    now = books(sensor, written)
    opened = accounted(now, FILE) - accounted(before, FILE)
    refused = lost(now, "FLOOD", FILE) + lost(now, "RING_FULL", FILE)
    assert lost(now, "FLOOD", FILE) > 0
    assert OPENS <= opened + refused <= OPENS * 1.1
    assert now["events"]["lost"] - before["events"]["lost"] >= refused
    # Whatever it was just at is not to blame for what somebody else has done.
    assert set_aside(now) == set_aside(before)
    # What waited was evaluated late, which is told, from the last word of the one that was stopped.
    assert lost(now, "EVALUATOR_DOWN", FILE) > 0
    down = [one for one in now["loss_records"] if one["cause"] == "EVALUATOR_DOWN"]
    spans = [one["to_unix_ns"] - one["from_unix_ns"] for one in down]
    assert max(spans) >= HUNG_NS, (down, now["deaths"][-1])


def test_a_flood_hides_nothing_that_others_do(sensor: Demonstration) -> None:
    """Whoever stops the evaluator and floods a ring could write a key for himself unseen."""
    settled(sensor)
    protected(sensor)
    before, pid = lost(status(sensor), "FLOOD", FILE), role(sensor, "evaluator")
    home = sensor.scratch / f"home-{secrets.token_hex(6)}"
    with flooding(str(sensor.scratch / "flooded")) as flooder:
        os.kill(pid, signal.SIGSTOP)
        sensor.world.wait("a flood", lambda now: lost(now, "FLOOD", FILE) > before, 20.0)
        scenario.shell(
            f"mkdir -p {home}/.ssh && echo key >> {home}/.ssh/authorized_keys", home.parent
        )
        protected(sensor, 20.0)
    key = wait_for("detection of the key", lambda: detection_of(sensor, str(home)), 20.0, 0.1)
    assert key["instance"] == "ssh-authorized-keys-written"
    (told,) = [
        one
        for one in status(sensor)["losses"]
        if (one["cause"], one["template_type"]) == ("FLOOD", FILE)
    ]
    named = {one["pid"]: one for one in told["processes"]}
    assert 0 < named[flooder.pid]["refused"] <= told["count"] - before
    assert named[flooder.pid]["start_time"] > 0


def detection_of(sensor: Demonstration, path: str) -> Mapping[str, Any] | None:
    """The detection that names a path, once there is one."""
    found = [one for one in sensor.world.detections() if path in str(one["inputs"].get("path", ""))]
    return found[0] if found else None


@contextmanager
def flooding(path: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that opens a file for writing, over and over."""
    command = [sys.executable, "-I", "-S", "-c", FLOOD, path]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


def test_every_cause_is_shown_in_the_cloud(sensor: Demonstration) -> None:
    """An operator would not learn what the sensor itself knows."""
    now = status(sensor)
    known = {one["cause"] for one in now["losses"]}
    assert {"BEFORE_SENSOR", "FLOOD", "EVALUATOR_DOWN"} <= known
    assert all(0 < one["from_unix_ns"] <= one["to_unix_ns"] for one in now["losses"])
    told = {(one["cause"], one["count"]) for one in now["loss_records"]}
    sensor.world.wait("reports in the cloud", lambda _: reported(sensor) >= told, 20.0)
    totals = sensor.world.cloud_json("losses")["totals"]
    assert {one["agent_id"] for one in totals} == {AGENT_ID}
    assert {"BEFORE_SENSOR", "FLOOD", "EVALUATOR_DOWN"} <= {one["cause"] for one in totals}
    assert all(one["from"] <= one["to"] for one in totals)
    losses = sensor.world.cloud_json("losses", "--limit", "1000")["losses"]
    floods = [one for one in losses if one["cause"] == "FLOOD"]
    assert all(sum(p["refused"] for p in one["processes"]) <= one["count"] for one in floods)
    assert any(one["processes"] for one in floods)


def reported(sensor: Demonstration) -> set[tuple[str, int]]:
    """Cause and count of every report that the cloud has."""
    losses = sensor.world.cloud_json("losses", "--limit", "1000")["losses"]
    return {(one["cause"], one["count"]) for one in losses}
