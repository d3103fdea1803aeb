"""Maps that are full: what could not be remembered is counted, and nothing else breaks."""

import json
import subprocess
import sys
from pathlib import Path

from tests.needs import require_btf
from tests.patience import patient

SECONDS = patient(50)
FEW = 3
FORKS = 12

# A process of its own, because it changes the limits.
PROGRAM = """
import contextlib, json, os, socket, subprocess, sys, threading, time
from dataclasses import replace
from content.definitions import load_definitions
from probes import loader, shared_maps
from probes.counters import Counters
from probes.limits import LIMITS
from probes.tracefs import mount_privately
mount_privately()
shared_maps.LIMITS = replace(LIMITS, **{changes!r})
types = tuple(load_definitions().values())
probes = loader.load(types, {{kind.number: LIMITS.other_ring_bytes for kind in types}})
{body}
with Counters(probes.counters, probes.counter_slots) as counters:
    found = {{f"{{slot.cause}} {{slot.template_type}}": count
             for slot, count in counters.read().items() if count}}
print(json.dumps({{"seeded": probes.seeded, "lost": found}}))
probes.close()
"""


def run(changes: dict[str, int], body: str) -> tuple[int, dict[str, int]]:
    """Load with other limits and run `body`; processes that were seeded, and losses."""
    require_btf()
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(changes=changes, body=body)],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=SECONDS,
    )
    told = json.loads(ended.stdout)
    return told["seeded"], told["lost"]


def test_processes_that_find_no_room_are_counted() -> None:
    """If it failed, events would lack their origin and nobody would know why."""
    body = f"children = [subprocess.Popen(['/bin/sleep', '0.2']) for _ in range({FORKS})]\n"
    body += "[child.wait() for child in children]\n"
    seeded, lost = run({"lineage_entries": FEW}, body)
    assert seeded == FEW
    assert lost["SEED_FULL 0"] >= 1
    assert lost["LINEAGE_FULL 0"] >= FORKS - FEW


def test_calls_that_find_no_room_are_counted() -> None:
    """If it failed, an event would vanish without a trace when many threads wait in calls."""
    waiting = 6
    body = (
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "threads = [threading.Thread(target=server.accept, daemon=True)"
        f" for _ in range({waiting})]\n"
        "[thread.start() for thread in threads]\n"
        "time.sleep(0.5)\n"
        "os.rename('/dev/null', '/dev/null')\n"
        "with contextlib.suppress(OSError):\n"
        "    os.mkfifo('/nonexistent/fifo')\n"
    )
    _, lost = run({"pending_calls": FEW}, body)
    assert lost["PENDING_FULL 3"] >= waiting - FEW
    assert lost["PENDING_FULL 2"] >= 1
    assert lost["PENDING_FULL 4"] >= 1


def test_calls_of_the_dead_are_forgotten() -> None:
    """If it failed, servers that are killed would fill the map, and others' calls be lost."""
    room = 64
    body = (
        "server = socket.create_server(('127.0.0.1', 0))\n"
        f"for _ in range({room}):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        [threading.Thread(target=server.accept).start() for _ in range(3)]\n"
        "        server.accept()\n"
        "    time.sleep(0.02)\n"
        "    os.kill(child, 9)\n"
        "    os.waitpid(child, 0)\n"
    )
    _, lost = run({"pending_calls": room}, body)
    assert not [name for name in lost if name.startswith("PENDING_FULL")]
