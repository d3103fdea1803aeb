"""Loads for the event path: opens, execs and connects from a small C program, at a chosen rate."""

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.harness import CHECKOUT, RESULTS, NotMeasurableError

SOURCE = CHECKOUT / "bench" / "event_load.c"
TIMEOUT_SECONDS = 120.0
CANARY_EVERY = 1000
"""One open in so many is of the file `canary` (as the C program says)."""


class Kind(StrEnum):
    """What is done again and again."""

    OPEN = "open"
    EXEC = "exec"
    CONNECT = "connect"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How much of a load there was; cpu_seconds are the load's own, kernel time included."""

    events: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def microseconds(self) -> float:
        """Time per event."""
        return self.seconds / self.events * 1e6

    @property
    def cpu_microseconds(self) -> float:
        """Processor time per event, which other loads on the machine disturb least."""
        return self.cpu_seconds / self.events * 1e6


@dataclass(frozen=True, slots=True)
class Loads:
    """The program and what its events are about: a folder, a program, a port that is ours."""

    folder: Path
    executed: Path
    port: int

    def argument(self, kind: Kind) -> str:
        """What the program is told to open, execute or connect to."""
        arguments = {Kind.OPEN: self.folder, Kind.EXEC: self.executed, Kind.CONNECT: self.port}
        return str(arguments[kind])

    def command(
        self, kind: Kind, *, count: int = 0, seconds: float = 0.0, rate: int = 0
    ) -> list[str]:
        """The command line; without count and seconds it never ends."""
        return [str(_compiled()), kind, self.argument(kind), str(count), str(seconds), str(rate)]

    def run(
        self,
        kind: Kind,
        *,
        count: int = 0,
        seconds: float = 0.0,
        rate: int = 0,
        core: int | None = None,
    ) -> Outcome:
        """Do it until count or seconds are reached; rate 0 is all that the machine gives."""
        command = self.command(kind, count=count, seconds=seconds, rate=rate)
        if core is not None:
            command = ["taskset", "--cpu-list", str(core), *command]
        ended = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
        events, took, processor = ended.stdout.split()
        return Outcome(int(events), float(took), float(processor))


@contextlib.contextmanager
def loads(executed: Path = Path("/bin/true")) -> Iterator[Loads]:
    """Loads whose folder and port are gone afterwards; NotMeasurableError without a C compiler."""
    _compiled()
    with (
        tempfile.TemporaryDirectory(prefix="bulkhead-load-") as folder,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
    ):
        server.bind(("127.0.0.1", 0))
        yield Loads(Path(folder), executed, server.getsockname()[1])


def two_cores() -> tuple[int, int]:
    """One core for who causes events and another for who reads them."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:  # noqa: PLR2004 - two, as the name says
        raise NotMeasurableError("needs two cores")
    return cores[0], cores[1]


@functools.cache
def _compiled() -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        raise NotMeasurableError("needs gcc: run scripts/setup")
    RESULTS.mkdir(parents=True, exist_ok=True)
    program = RESULTS / "event_load"
    with tempfile.TemporaryDirectory(dir=RESULTS) as folder:
        fresh = Path(folder) / program.name
        subprocess.run([compiler, "-O2", "-Wall", "-Werror", "-o", fresh, SOURCE], check=True)
        fresh.replace(program)
    return program
