"""Boots of one host under QEMU, each watched until it ends; what is heard gets its time at once."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from lab.cells.story import SILENCE_SECONDS, Boot, End, Line, panic_of
from lab.vm import machine
from lab.vm.machine import CONSOLE, MARK, READY, RESULTS, Guest

LOOK_SECONDS = 0.05
CONSOLE_BYTES = 256 * 1024
LINE_BYTES = 64 * 1024
NO_POWER_SECONDS = 2.0
"""How long updates have gone on when the power is cut."""


@dataclass(slots=True)
class Ear:
    """Reads what a guest says as it comes; bytes that are no line of ours are passed over."""

    path: Path
    lines: list[Line] = field(default_factory=list)
    booted: bool = False
    finished: bool = False
    _read: int = 0
    _rest: bytes = b""

    def listen(self) -> bool:
        """Whether there was anything new."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-LINE_BYTES:]
        for line in whole:
            self._take(line.decode("utf-8", "backslashreplace").strip())
        return bool(data)

    def _take(self, text: str) -> None:
        self.booted = self.booted or text == READY
        if text.startswith(MARK):
            self.finished = self.finished or text.startswith(machine.STATUS)
            return
        said = _object(text)
        if said:
            self.lines.append(Line(time.monotonic(), said))


def boot(
    guest: Guest,
    folder: Path,
    boot_seconds: float,
    stopping: Event,
    *,
    rescued: bool,
    cut: bool,
) -> Boot:
    """Start the host and watch it to the end of this boot; KeyboardInterrupt once it is to stop.

    boot_seconds: how long it may take until anything is heard. cut: whether its power is to be cut
    amid updates.
    """

    def has_ended() -> bool:
        if stopping.is_set():
            raise KeyboardInterrupt
        return running.process.poll() is not None

    began = time.monotonic()
    with machine.started(guest, folder) as running:
        ear = Ear(folder / RESULTS)
        end = watch(has_ended, ear, boot_seconds, cut=cut)
    return told(ear, began, end, console(folder), rescued=rescued)


def told(ear: Ear, began: float, end: End, shown: str, *, rescued: bool) -> Boot:
    """What a boot that has just ended amounts to. shown: the end of its console."""
    ended = time.monotonic()
    ear.listen()
    point, panic = panic_of(shown)
    if end is End.ENDED and panic:
        end = End.PANICKED
    return Boot(ear.lines, began, ended, end, point, panic, rescued)


def console(folder: Path) -> str:
    """The end of what a guest's console showed."""
    with (folder / CONSOLE).open("rb") as file:
        file.seek(max(0, (folder / CONSOLE).stat().st_size - CONSOLE_BYTES))
        return file.read().decode("utf-8", "backslashreplace")


def watch(has_ended: Callable[[], bool], ear: Ear, boot_seconds: float, *, cut: bool) -> End:
    """Listen to a host until its boot ends, one way or another."""
    heard = time.monotonic()
    while True:
        now = time.monotonic()
        if ear.listen():
            heard = now
        if ear.finished:
            return End.DONE if any(one.what == "done" for one in ear.lines) else End.ENDED
        if has_ended():
            return End.ENDED
        if now - heard > (SILENCE_SECONDS if ear.lines else boot_seconds):
            return End.SILENT
        if cut and _updating(ear, now):
            return End.CUT
        time.sleep(LOOK_SECONDS)


def _updating(ear: Ear, now: float) -> bool:
    fault = next((one.at for one in ear.lines if one.what == "fault"), None)
    return fault is not None and now - fault > NO_POWER_SECONDS


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        said = json.loads(text)
    except ValueError:
        return None
    return said if isinstance(said, dict) and isinstance(said.get("what"), str) else None
