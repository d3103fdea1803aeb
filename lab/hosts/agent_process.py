"""The agent of arm P: probes, rings and the unchecked interpreter in one process of root's.

As most agents are built: what reads events and what judges them share an address space, with all
rights. Content lies in a folder; when a file of it changes, the agent reads it again.

Usage: python -m lab.hosts.agent_process FOLDER
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from content.channel_file import load, load_envelope
from content.definitions import load_definitions
from content.problems import ContentError
from content.record import decode
from content.template_type import TemplateType
from lab.boot.slow_clock import clock
from lab.hosts.agent_service import SAID
from lab.hosts.order import CONTENT, SUFFIX
from lab.module.supplied import TYPES
from lab.unchecked.compiled import Compiled, ReadError
from lab.unchecked.engine import UncheckedEngine
from probes.limits import LIMITS
from probes.loader import load as load_probes
from probes.ring import Ring
from probes.tracefs import mount_privately

if TYPE_CHECKING:
    from content.model import ChannelFile

BATCH = 256
"""Events."""

POLL_SECONDS = 0.02
ALIVE_SECONDS = 1.0
LOOK_SECONDS = 0.5


@dataclass(slots=True)
class Voice:
    """Says things as lines of JSON."""

    path: Path

    def say(self, **facts: object) -> None:
        """One object."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")


def main() -> int:
    """Be the agent; it never ends by itself."""
    folder = Path(sys.argv[1])
    voice = Voice(folder / SAID)
    types = load_definitions()
    mount_privately()
    rings = _rings(types)
    stamp, engine = _stamp(folder / CONTENT), _engine(folder / CONTENT, types, voice)
    told = looked = time.monotonic()
    while True:
        now = time.monotonic()
        if now - looked > LOOK_SECONDS:
            looked, latest = now, _stamp(folder / CONTENT)
            if latest != stamp:
                stamp, engine = latest, _engine(folder / CONTENT, types, voice)
        if now - told > ALIVE_SECONDS:
            told = now
            voice.say(alive=True)
        for ring in rings:
            _evaluate(engine, ring, voice)
        time.sleep(POLL_SECONDS)


def _rings(types: Mapping[int, TemplateType]) -> list[Ring]:
    numbers = {one.number for one in types.values() if one.name in TYPES}
    sizes = dict.fromkeys(numbers, LIMITS.other_ring_bytes)
    loaded = load_probes(tuple(types.values()), sizes)
    return [
        Ring(one.descriptor, one.stride, one.size, one.kind, types[one.template_type])
        for one in loaded.rings
    ]


def _engine(folder: Path, types: Mapping[int, TemplateType], voice: Voice) -> UncheckedEngine:
    files: list[ChannelFile] = []
    refused = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            payload = load_envelope(path.read_bytes()).payload
            Compiled(payload)
            files.append(load(payload))
        except ReadError as error:
            refused.append(f"{path.name} refused ({error.reason.name})")
        except ContentError as error:
            refused.append(f"{path.name} refused ({error.problems[0].reason})")
    voice.say(content="; ".join(refused) or "in force")
    return UncheckedEngine(files, types, clock=clock)


def _stamp(folder: Path) -> Sequence[tuple[str, int, int]]:
    found = [(path, path.stat()) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    return [(path.name, facts.st_mtime_ns, facts.st_size) for path, facts in found]


def _evaluate(engine: UncheckedEngine, ring: Ring, voice: Voice) -> None:
    """What is new in a ring, evaluated where it was read."""
    position, kind = ring.consumer_position, ring.template_type
    records = ring.read(position, BATCH)
    for match in engine.evaluate(kind, records).matches:
        named = {field.name: field.number for field in kind.fields}
        inputs = decode(kind, records[match.row : match.row + 1])
        what = inputs.get(named.get("path", 0)) or inputs.get(named["image"], b"")
        voice.say(instance=match.instance.id, what=bytes(what).decode("utf-8", "replace"))
    ring.commit(position + len(records) * ring.stride)


if __name__ == "__main__":
    sys.exit(main())
