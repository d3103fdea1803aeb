"""Canaries: programs that are run again and again, and looked for among the detections.

Each run has a number in its name, so that a detection says which run it is of. A detection of
anything but a canary is a wrong answer: nothing else that content knows happens on this host.
"""

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lab.hosts.placement import Detected

CANARY = "bulkhead-exec-canary"
CANARY_WORD = "bulkhead-canary-"
ORDINARY = "beacon-light"
_PROGRAM = re.compile(r"bulkhead-canary-(\d+)$")


@dataclass(slots=True)
class Canaries:
    """Runs by number, and which of them were detected.

    folder: where the programs lie, as short-lived as the host.
    """

    folder: Path
    ran: int = 0
    detected: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def run(self) -> int:
        """Once more; returns its number."""
        number = self.ran
        self.ran += 1
        program = self.folder / f"bulkhead-canary-{number}"
        if number == 0:
            shutil.copy("/bin/true", program)
        else:
            os.link(self.folder / "bulkhead-canary-0", program)
        os.waitpid(os.posix_spawn(program, [str(program)], {}), 0)
        if number:
            program.unlink()
        return number

    def pipe(self, name: str) -> None:
        """Make a FIFO, which is an event of inter-process communication.

        Just before it an ordinary program runs on the same processor, whose name begins as a word
        of the content of July 2024: it is what a stale input may be mistaken for.
        """
        path, program = self.folder / name, self.folder / ORDINARY
        if not program.exists():
            shutil.copy("/bin/true", program)
        path.unlink(missing_ok=True)
        processors = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(processors)})
        try:
            os.waitpid(os.posix_spawn(program, [str(program)], {}), 0)
            os.mkfifo(path)
        finally:
            os.sched_setaffinity(0, processors)

    def look(self, found: Iterable[Detected]) -> list[int]:
        """Note detections; numbers of the runs that were not known to be detected."""
        fresh = []
        for one in found:
            if one.instance != CANARY or CANARY_WORD not in one.what:
                self.wrong.append(f"{one.instance} on {one.what}")
                continue
            run = _PROGRAM.search(one.what)
            # Somebody else's canary is a right answer as well.
            ours = run is not None and one.what.startswith(str(self.folder))
            if run and ours and int(run[1]) not in self.detected:
                self.detected.add(int(run[1]))
                fresh.append(int(run[1]))
        return fresh
