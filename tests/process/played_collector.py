"""A collector that hands over what a script says: `python -m tests.process.played_collector …`.

It stands in for `agent.collector` through the role table. The script is `script.json` in the state
folder of the supervisor that has started it: for the first collector and for those that join, what
to hand over (rings with so many events, what the attachments serve) or how to fail; the first may
have to wait until there is a file of some name in that folder. Rings, counters
and shared maps are memfds, attachments pipes of which the test can see whether they are closed.
"""

import argparse
import json
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.channel import Sender, receive, send
from content.definitions import Rung, load_definitions
from probes.counters import mapped_bytes, slots
from probes.memory_ring import MemoryRing, sealed_memory

TYPES = load_definitions()
RING_BYTES = 1 << 20
SHARED = ("lineage", "processes")


def main() -> None:
    """Do what the script says."""
    options = _parse()
    channel = socket.socket(fileno=options.channel_fd)
    script = json.loads((_state_folder() / "script.json").read_text(encoding="utf-8"))
    _note(options)
    if not options.join:
        plan = script["first"]
        while "waits_for" in plan and not (_state_folder() / plan["waits_for"]).exists():
            time.sleep(0.02)
        if "fails" in plan and options.types:
            _fail(channel, plan["fails"])
        else:
            _hand_over(channel, plan, shared=SHARED)
        return
    joined = receive(channel, Sender.SUPERVISOR)
    assert joined is not None
    found = [str(Path(f"/proc/self/fd/{one}").readlink()) for one in joined.descriptors]
    expected = ["counters", *joined["shared"]]
    assert [f"/memfd:{name} (deleted)" for name in expected] == found, found
    plan = next(one for one in script["joins"] if one["types"] in (options.types, "any"))
    if plan.get("dies"):
        os.kill(os.getpid(), signal.SIGKILL)
    if "fails" in plan:
        _fail(channel, plan["fails"])
        return
    _hand_over(channel, plan)


def _fail(channel: socket.socket, reason: str) -> None:
    send(channel, "failed", rung="bpf_btf", reason=reason, detail="words of the verifier")


def _hand_over(channel: socket.socket, plan: Mapping[str, Any], shared: Sequence[str] = ()) -> None:
    rings = [_ring(number, plan.get("events", 0)) for number in plan["rings"]]
    counted = slots(TYPES) if shared else ()
    common = [sealed_memory("counters", mapped_bytes(len(counted)))] if shared else []
    common += [sealed_memory(name, 4096) for name in shared]
    attachments = [os.memfd_create(f"serves-{one}") for one in plan["serves"]]
    send(
        channel,
        "attached",
        descriptors=[*(one.description.descriptor for one in rings), *common, *attachments],
        rung="bpf_btf",
        rings=[one.description.document() for one in rings],
        flooders=[],
        counters=[slot.document() for slot in counted],
        shared=list(shared),
        serves=plan.get("says", plan["serves"]),
        probes=[f"probe of {one}" for one in plan["serves"]],
        more=0,
    )


def _ring(number: int, events: int) -> MemoryRing:
    ring = MemoryRing(TYPES[number], RING_BYTES, Rung.BPF_BTF)
    for index in range(events):
        assert ring.append({"pid": 1000 + index, "image": b"/usr/bin/played"})
    return ring


def _state_folder() -> Path:
    """From the command line of the supervisor."""
    words = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().split(b"\0")
    return Path(os.fsdecode(words[words.index(b"--state") + 1]))


def _note(options: argparse.Namespace) -> None:
    """One line per start: what it was asked for."""
    with (_state_folder() / "asked").open("a", encoding="utf-8") as file:
        file.write(f"{'join' if options.join else 'first'} {options.types}\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel-fd", type=int)
    parser.add_argument("--rung")
    parser.add_argument("--types")
    parser.add_argument("--join", action="store_true")
    parser.add_argument("--seed", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
