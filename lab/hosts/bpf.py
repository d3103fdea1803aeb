"""B1 and B2 on a host: an agent whose interpreter is a BPF program (bpf.c).

Content is read by the C reader, in user space, and its first criterion is put into a map. What the
verifier says of the program that judges pipes is kept; exec events are judged in user space from
what another program tells, so that there is protection whatever becomes of the first one.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from content.channel_file import load_envelope
from content.problems import ContentError
from lab.hosts.bpf_ring import TextRing
from lab.hosts.canaries import CANARY, CANARY_WORD
from lab.hosts.order import CONTENT, Order
from lab.hosts.placement import Death, Detected, PlacementError
from lab.hosts.stored import IPC_FILE, delete_bad, take_pushed
from lab.unchecked.compiled import Compiled, ReadError
from probes import bcc_programs
from probes.bcc_programs import Built, ProgramKind
from probes.errors import ProbeError, ProbeReason
from probes.kernel_source import hide_symbols, kernel_source
from probes.tracefs import mount_privately
from probes.tracepoints import Tracepoint

SOURCE = Path(__file__).with_name("bpf.c")
EXEC = Tracepoint("sched", "sched_process_exec", "on_exec")
MAKE = Tracepoint("syscalls", "sys_enter_mknodat", "on_make")
DETECTIONS, CRITERIA = "detections", "criteria"
CRITERION = struct.Struct("II16s")
TEXT_BYTES = 16
MOST_WORDS = 400
"""Characters of what the verifier said: the end of it, where the reason stands."""


@dataclass(slots=True)
class BpfAgent:
    """A `Host`; padded with 32 slots, refused with 20."""

    folder: Path
    wanted: Order
    _refused: str = ""
    _settled: str = ""
    _built: Built | None = None
    _ring: TextRing | None = None
    _instance: str = ""
    _attached: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Compile, load and attach; without the program that is refused, if it is."""
        mount_privately()
        hide_symbols()
        points: tuple[Tracepoint, ...] = (EXEC, MAKE)
        with kernel_source():
            try:
                self._built = self._build(*points)
            except ProbeError as error:
                if error.reason is not ProbeReason.VERIFIER_REFUSED:
                    raise PlacementError(str(error)) from error
                self._refused = verifier_words(error.detail)
                points = (EXEC,)
                self._built = self._build(*points)
        self._ring = TextRing(self._built.maps[DETECTIONS])
        self._load()
        self._attached = [
            bcc_programs.attach(self._built.programs[one.function], one) for one in points
        ]

    def push(self) -> None:
        """It lies on disk, and the agent is started again with it."""
        take_pushed(self.folder)
        self.stop()
        self.start()

    def settled(self) -> str:
        """What became of the content."""
        return f"refused: {self._refused}" if self._refused else self._settled

    def detections(self) -> Iterator[Detected]:
        """From the ring."""
        for text in self._ring.texts() if self._ring else ():
            kind, what = text[:1], text[1:].decode("utf-8", "replace")
            if kind == b"x" and CANARY_WORD in what:
                yield Detected(CANARY, what)
            elif kind == b"p":
                yield Detected(self._instance, what)

    def deaths(self) -> list[Death]:
        """Nobody dies of a BPF program."""
        return []

    def gone(self) -> str:
        """Nobody goes."""
        return ""

    def repair(self) -> list[str]:
        """What would be done if it were needed."""
        delete_bad(self.folder)
        self.stop()
        self.start()
        return ["log in to the host", "delete the file", "start the agent again"]

    def facts(self) -> Mapping[str, Any]:
        """It keeps no account."""
        return {"events_lost": None, "events_uncounted": None, "said": self.settled()}

    def stop(self) -> None:
        """Detach, and give all of it back."""
        for descriptor in self._attached:
            os.close(descriptor)
        self._attached.clear()
        if self._built is not None:
            self._built.close()
            self._built = None

    def _build(self, *points: Tracepoint) -> Built:
        text = f"#define SLOTS {self.wanted.options['slots']}\n" + SOURCE.read_text(
            encoding="ascii"
        )
        functions = {one.function: ProgramKind.TRACEPOINT for one in points}
        return bcc_programs.build(text, functions, (DETECTIONS, CRITERIA))

    def _load(self) -> None:
        """The first criterion that asks how a text begins or what it has, into the map."""
        path = self.folder / CONTENT / IPC_FILE
        try:
            payload = load_envelope(path.read_bytes()).payload
            compiled = Compiled(payload)
        except (ContentError, ReadError, FileNotFoundError) as error:
            self._settled = f"refused: {type(error).__name__}"
            return
        self._settled = "in force"
        self._instance = compiled.identities[0].id.decode()
        field_number, text = compiled.first_text()
        value = CRITERION.pack(field_number, min(len(text), TEXT_BYTES), text[:TEXT_BYTES])
        if self._built is not None:
            bcc_programs.insert(self._built.maps[CRITERIA], 0, value)


def verifier_words(detail: str) -> str:
    """The verifier's reason: the last line that is one, without counts."""
    lines = [line.strip() for line in detail.splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith(("processed", "HINT", "bpf:"))]
    return reasons[-1][-MOST_WORDS:] if reasons else detail[-MOST_WORDS:]
