"""Steps 1 to 3 and 6: the sensor at work, and nothing left behind."""

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

import content
from content.definitions import load_definitions
from content.loss_causes import LossCause
from lab.demo import leftovers, scenario
from lab.demo.claims import ClaimError, Claims
from lab.demo.processes import alive, run_json, wait_for
from lab.demo.world import AGENT_ID, World

SHIPPED_CONTENT = Path(content.__file__).parent / "instances"
ALL_TYPES = frozenset(load_definitions())
SETTLED = ("active", "accepted")


@dataclass(slots=True)
class Demonstration:
    """What the steps share: the world, the claims, and a scratch folder for real behaviour."""

    world: World
    claims: Claims
    before: leftovers.Traces = field(default_factory=leftovers.look)
    pids: set[int] = field(default_factory=set)

    @property
    def scratch(self) -> Path:
        """Where commands of the scenario run."""
        folder = self.world.folder / "scratch"
        folder.mkdir(exist_ok=True)
        return folder

    def remember(self, status: Mapping[str, Any]) -> None:
        """Process ids of all roles, to be looked for at the end."""
        roles = status["roles"]
        entries = [roles["supervisor"], roles["collector"], roles["evaluator"], roles["link"]]
        self.pids |= {one["pid"] for one in [*entries, *roles["standby"]] if one and one["pid"]}


@contextmanager
def demonstration(output: Path) -> Iterator[Demonstration]:
    """A world of its own, silent; its services are ended and its folder is removed afterwards."""
    world = World(output)
    try:
        yield Demonstration(world, Claims(Console(quiet=True)))
    finally:
        world.stop()
        world.remove()


def start(demo: Demonstration) -> None:
    """Step 1: cloud and agent are up, on the best rung, with the rights that they should have."""
    world, claims = demo.world, demo.claims
    claims.heading("1  Cloud and sensor")
    _make_identities(world)
    claims.require("the cloud serves with mutual TLS", lambda: _start_cloud(world))
    claims.require("the sensor protects", lambda: _start_agent(demo))
    claims.verify("the sensor's session is up", lambda: _connected(world))
    claims.verify("the evaluator has no rights", lambda: _caged(world))


def deliver(demo: Demonstration) -> None:
    """Step 2: shipped content is pushed, tried on the host, active."""
    demo.claims.heading("2  Rapid Response Content")
    demo.claims.require("shipped content is pushed, tried and in force", lambda: _push(demo.world))


def detect(demo: Demonstration, behaviours: Sequence[scenario.Behaviour]) -> None:
    """Step 3: real behaviour is detected, ordinary behaviour is not."""
    claims = demo.claims
    claims.heading("3  Real behaviour")
    claims.verify("ordinary commands are detected by nothing", lambda: _quiet(demo))
    claims.verify("behaviour is detected, in the cloud", lambda: _detected(demo, behaviours))
    claims.verify("a prevented program is stopped", lambda: _prevented(demo))
    claims.verify("every event is accounted for", lambda: accounted(demo))


def finish(demo: Demonstration) -> None:
    """Step 6: a clean end."""
    demo.claims.heading("6  The end")
    status = demo.world.status()
    if status is not None:
        demo.remember(status)
    demo.claims.verify("clean shutdown", lambda: _stop(demo))
    demo.claims.verify("nothing is left behind", lambda: _nothing_left(demo))


def accounted(demo: Demonstration) -> str:
    """Every record that the probes wrote was evaluated, is in the ring, or is a counted loss."""

    def settled(status: Mapping[str, Any]) -> bool:
        rings = (status["collection"] or {"rings": {}})["rings"].values()
        accounted_for = sum(int(ring["accounted"]) for ring in rings)
        return accounted_for == int(status["events"]["evaluated"]) > 0

    status = demo.world.wait("books that balance", settled, 5.0)
    events = status["events"]
    full = (LossCause.RING_FULL, LossCause.FLOOD)
    lost = sum(entry["count"] for entry in status["losses"] if entry["cause"] in full)
    if lost or events["lost"]:
        raise ClaimError(f"lost events: {status['losses']}")
    return f"{events['evaluated']} events evaluated, {events['lost']} lost"


def shown_detection(found: Mapping[str, Any]) -> str:
    """A detection in one line: instance, process, parent, command line."""
    inputs = found["inputs"]
    image, parent = inputs.get("image", "?"), inputs.get("parent_image", "?")
    return f"{found['instance']}: {image} (parent {parent}) {inputs.get('command_line', '')!r:.60}"


def _make_identities(world: World) -> None:
    folder, operator = str(world.cloud_folder), str(world.operator_folder)
    # One host: there is nobody to go first.
    immediate = ["--plan", "immediate"]
    run_json("cloud", "init", "--folder", folder, "--operator", operator, *immediate)
    tls = str(world.folder / "tls")
    run_json("cloud", "enroll", "--folder", folder, "--agent-id", AGENT_ID, "--output", tls)


def _start_cloud(world: World) -> str:
    world.start_cloud()
    return f"{world.address}, pid {world.cloud.process.pid if world.cloud else '?'}"


def _start_agent(demo: Demonstration) -> str:
    started = time.monotonic()
    demo.world.start_agent()
    status = demo.world.wait("evaluator", lambda status: bool(status["protecting"]), 30.0)
    demo.remember(status)
    if status["rung"] != "bpf_btf":
        raise ClaimError(f"on rung {status['rung']}: {', '.join(status['reduced_because'])}")
    collected = status["template_types"]["collected"]
    if collected:
        raise ClaimError(f"collects Template Types {', '.join(collected)}, which nothing needs")
    probes = len(status["collection"]["probes"])
    return (
        f"rung {status['rung']}, {probes} probes attached, for lineage only, "
        f"{time.monotonic() - started:.2f} s after start"
    )


def _connected(world: World) -> str:
    world.wait(
        "session", lambda status: bool((status["roles"]["link"] or {}).get("connected")), 10.0
    )
    hosts = [host for host in world.cloud_json("fleet")["hosts"] if host["agent_id"] == AGENT_ID]
    if not hosts:
        raise ClaimError("the fleet doesn't have this host")
    return f"the fleet shows {AGENT_ID} on rung {hosts[0]['rung']}"


def _caged(world: World) -> str:
    evaluator = (world.status() or {"roles": {"evaluator": None}})["roles"]["evaluator"]
    if evaluator is None:
        raise ClaimError("there is no evaluator")
    lines = Path(f"/proc/{evaluator['pid']}/status").read_text(encoding="utf-8").splitlines()
    facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    user, capabilities = int(facts["Uid"].split()[1]), int(facts["CapEff"], 16)
    seccomp, no_new = facts["Seccomp"].strip(), facts["NoNewPrivs"].strip()
    said = f"uid {user}, capabilities {capabilities:x}, seccomp {seccomp}, no_new_privs {no_new}"
    if user == 0 or capabilities or seccomp != "2" or no_new != "1":
        raise ClaimError(said)
    return f"{said}, Landlock {evaluator['sandbox'].get('landlock', 'none')}"


def _push(world: World) -> str:
    packed = world.folder / "packed"
    run_json("content", "pack", str(SHIPPED_CONTENT), "--version", "1", "--output", str(packed))
    files = sorted(str(path) for path in packed.glob("*.channel"))
    key = str(world.operator_folder / "signing.key")
    run_json("cloud", "push", *files, "--folder", str(world.cloud_folder), "--key", key)
    status = world.wait("content in force for all Template Types", _all_in_force, 120.0)
    said = [f"type {f['template_type']} v{f['version']}" for f in status["content"]["active"]]
    probes = len(status["collection"]["probes"])
    return f"{len(files)} Channel Files, for which {probes} probes are attached: {', '.join(said)}"


def _all_in_force(status: Mapping[str, Any]) -> bool:
    active = status["content"]["active"]
    worker = status["roles"]["evaluator"]
    running = set(worker["files"]) if worker else set()
    return {f["template_type"] for f in active} >= ALL_TYPES and running == {
        f["hash"] for f in active
    }


def _quiet(demo: Demonstration) -> str:
    already = len(demo.world.detections())
    count = scenario.background(demo.scratch)
    accounted(demo)
    time.sleep(0.5)
    found = demo.world.detections()[already:]
    if found:
        raise ClaimError(f"{len(found)} detections: {shown_detection(found[0])}")
    return f"{count} ordinary command lines and a connection, 0 detections"


def _detected(demo: Demonstration, behaviours: Sequence[scenario.Behaviour]) -> str:
    for behaviour in behaviours:
        behaviour.act(demo.scratch)
    wanted = {behaviour.instance for behaviour in behaviours}

    def look() -> dict[str, Mapping[str, Any]] | None:
        found = demo.world.cloud_json("detections", "--limit", "1000")["detections"]
        by_instance = {one["instance"]: one for one in found}
        return by_instance if wanted <= by_instance.keys() else None

    try:
        found = wait_for("detection of each behaviour in the cloud", look, 10.0, 0.2)
    except ClaimError:
        seen = {one["instance"] for one in demo.world.detections()}
        raise ClaimError(f"not detected: {', '.join(sorted(wanted - seen)) or 'late'}") from None
    for instance in sorted(wanted):
        one = found[instance]
        demo.claims.screen.print(
            f"             {shown_detection(one)}", markup=False, soft_wrap=True
        )
        missing = {"image", "parent_image", "command_line", "pid"} - one["inputs"].keys()
        if missing:
            raise ClaimError(f"{instance} lacks {', '.join(sorted(missing))}")
    return f"{len(wanted)} different detections over {scenario.listed(behaviours)}"


def _prevented(demo: Demonstration) -> str:
    started = time.monotonic()
    status = scenario.prevented(demo.scratch)
    if status != -signal.SIGKILL:
        raise ClaimError(f"the program ended with {status}, expected SIGKILL")
    return f"killed {(time.monotonic() - started) * 1000:.0f} ms after its start (it wanted 5 s)"


def _stop(demo: Demonstration) -> str:
    world = demo.world
    codes = {s.name: s.stop() for s in (world.agent, world.cloud) if s is not None}
    if any(codes.values()):
        raise ClaimError(f"exit status {codes}")
    return ", ".join(f"{name} ended with {code}" for name, code in codes.items())


def _nothing_left(demo: Demonstration) -> str:
    folder = str(demo.world.folder)
    demo.world.remove()
    remaining = [f"process {pid}" for pid in sorted(demo.pids) if alive(pid)]
    remaining += [f"process {pid}" for pid in leftovers.role_processes(folder)]
    remaining += _added_for_good(demo.before)
    if remaining:
        raise ClaimError(", ".join(remaining))
    return f"{len(demo.pids)} processes gone; mounts, pins, namespaces, BPF programs as before"


def _added_for_good(before: leftovers.Traces) -> list[str]:
    """The kernel frees programs a moment after their last descriptor is closed."""
    for _ in range(30):
        added = leftovers.look().added_since(before)
        if not added:
            return []
        time.sleep(0.1)
    return added
