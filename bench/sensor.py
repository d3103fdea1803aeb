"""What benchmarks of the running sensor share: a whole sensor, a load, a watcher of detections.

The sensor is the shipped one with a cloud and shipped content, in a temporary folder. Latency is
taken from the kernel's time of an event to the moment when its detection stands in the sensor's
own log, seen by a thread that looks each millisecond.
"""

import contextlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, Self

from bench.harness import NotMeasurableError
from content.channel_file import Envelope, content_hash, pack, pack_envelope
from content.model import ChannelFile
from lab.demo.claims import ClaimError
from lab.demo.processes import run_json
from lab.demo.steps import deliver, demonstration, start
from lab.demo.world import World, unix_ns

CANARY_INSTANCE = "bulkhead-exec-canary"
LOOK_SECONDS = 0.001
IN_FORCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One detection: which canary, when it happened, when it was in the log (Unix ns)."""

    argument: str
    happened_ns: int
    logged_ns: int


@dataclass(slots=True)
class Watcher:
    """Follows the detection log and notes when each canary's detection arrived.

    program: the canary of this sensor; every sensor on a host sees those of the others.
    """

    world: World
    program: Path
    seen: list[Seen] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def path(self) -> Path:
        """The sensor's detection log."""
        return self.world.state / "link" / "detections.jsonl"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def wait(self, count: int, seconds: float) -> None:
        """Wait until so many detections were seen, or the time is over."""
        deadline = time.monotonic() + seconds
        while len(self.seen) < count and time.monotonic() < deadline:
            time.sleep(0.01)

    def _follow(self) -> None:
        while not self.path.exists() and not self._stop.wait(LOOK_SECONDS):
            pass
        log = self.path.open("rb")
        log.seek(0, os.SEEK_END)
        rest = b""
        while not self._stop.wait(LOOK_SECONDS):
            data = log.read()
            if not data:
                log = self._rotated(log)
                continue
            now = time.time_ns()
            *lines, rest = (rest + data).split(b"\n")
            self.seen += [one for line in lines if (one := self._seen(line, now)) is not None]
        log.close()

    def _seen(self, line: bytes, now: int) -> Seen | None:
        detection = json.loads(line)
        if detection["instance"] != CANARY_INSTANCE:
            return None
        command_line = str(detection["inputs"].get("command_line", ""))
        program, _, argument = command_line.rpartition(" ")
        if program != str(self.program):
            return None
        return Seen(argument, unix_ns(detection["time"]), now)

    def _rotated(self, log: BufferedReader) -> BufferedReader:
        """The log's successor where there is one and nothing more has come to this one."""
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_ino != os.fstat(log.fileno()).st_ino and not log.peek(1):
                log.close()
                return self.path.open("rb")
        return log


@dataclass(slots=True)
class ExecLoad:
    """Runs the canary program again and again, each time with the next number as argument."""

    program: Path
    pause_seconds: float = 0.0
    started: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def run(self, count: int) -> None:
        """So many executions, in this thread."""
        for _ in range(count):
            self._one()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10.0)

    def _forever(self) -> None:
        while not self._stop.wait(self.pause_seconds):
            self._one()

    def _one(self) -> None:
        self.started += 1
        arguments = [str(self.program), str(self.started)]
        os.waitpid(os.posix_spawn(self.program, arguments, {}), 0)


@contextlib.contextmanager
def sensor() -> Iterator[World]:
    """A whole sensor with shipped content in force; ends and removes it afterwards."""
    if os.geteuid() != 0:
        raise NotMeasurableError("needs root, for BPF")
    output = Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
    try:
        with demonstration(output) as demo:
            start(demo)
            deliver(demo)
            yield demo.world
    finally:
        shutil.rmtree(output, ignore_errors=True)


def put_in_force(world: World, file: ChannelFile) -> None:
    """Push a Channel File and wait until evaluator and stand-by work with it."""
    payload = pack(file)
    path = world.folder / f"pushed-{file.template_type.number}.channel"
    path.write_bytes(pack_envelope(Envelope(payload)))
    key = str(world.operator_folder / "signing.key")
    run_json("cloud", "push", str(path), "--folder", str(world.cloud_folder), "--key", key)
    wanted = content_hash(payload).hex()

    def works(found: Mapping[str, Any]) -> bool:
        return _settled(found) and wanted in found["roles"]["evaluator"]["files"]

    try:
        world.wait("content in force, with a stand-by", works, IN_FORCE_SECONDS)
    except ClaimError as error:
        said = world.agent.tail() if world.agent else "no agent"
        raise RuntimeError(
            f"{path.name} is not in force: {error}; the agent's log: {said}"
        ) from error


def settle(world: World) -> None:
    """Wait until the stand-by is ready, after which no role is replaced."""
    world.wait("stand-by", _settled, IN_FORCE_SECONDS)


def _settled(found: Mapping[str, Any]) -> bool:
    """Whether evaluator and stand-by work with the same content."""
    worker, standby = found["roles"]["evaluator"], found["roles"]["standby"]
    return worker is not None and [(one["stage"], one["files"]) for one in standby] == [
        ("ready", worker["files"])
    ]


def canary(world: World) -> Path:
    """The program that the shipped canary instance knows by its name."""
    program = world.folder / "bulkhead-canary-bench"
    shutil.copy("/bin/true", program)
    return program


def status(world: World) -> Mapping[str, Any]:
    """The sensor's status; an error if it doesn't answer, which no benchmark survives."""
    found = world.status()
    if found is None:
        raise RuntimeError("the sensor doesn't answer")
    return found
