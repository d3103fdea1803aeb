"""K on a host: the module is loaded, and its detections are read from the kernel's log."""

import ctypes
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.hosts import order
from lab.hosts.placement import Death, Detected, PlacementError
from lab.hosts.stored import delete_bad, take_pushed
from lab.module.permission import ModuleError, ModuleReason, require

FINIT_MODULE = 313
"""Its number on x86-64; the C library has no function for it."""

LOG = Path("/dev/kmsg")
RELOAD = Path("/sys/module/bulkhead_laboratory/parameters/reload")
LINE_BYTES = 8192
_DETECTION = re.compile(rb";bulkhead: detection (\S+) (.*)")
_REFUSED = re.compile(rb";bulkhead: refused (\S+): ([A-Z_]+)")


@dataclass(slots=True)
class KernelModule:
    """A `Host`."""

    folder: Path
    _log: int = -1
    _settled: str = ""
    _refused: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Load the module; from then on a fault takes the host along."""
        self._log = os.open(LOG, os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._log, 0, os.SEEK_END)
        try:
            require()
            load(self.folder / order.MODULE, f"folder={self.folder / order.CONTENT}")
        except ModuleError as error:
            raise PlacementError(str(error)) from error
        self._settled = "loaded"

    def push(self) -> None:
        """It lies on disk, and the module is told."""
        take_pushed(self.folder)
        RELOAD.write_text("1", encoding="ascii")
        self._settled = "in force"

    def settled(self) -> str:
        """At once: nothing is asked before."""
        return "; ".join(self._refused) or self._settled

    def detections(self) -> Iterator[Detected]:
        """From the kernel's log."""
        while True:
            try:
                line = os.read(self._log, LINE_BYTES)
            except BlockingIOError:
                return
            except BrokenPipeError:
                continue  # lines were overwritten before we came
            found = _DETECTION.search(line)
            if found:
                yield Detected(found[1].decode(), found[2].decode("utf-8", "replace").rstrip())
            refused = _REFUSED.search(line)
            if refused:
                name = Path(refused[1].decode()).name
                self._refused.append(f"{name} refused ({refused[2].decode()})")

    def deaths(self) -> list[Death]:
        """Nobody dies but the host."""
        return []

    def gone(self) -> str:
        """Nobody could say so."""
        return ""

    def repair(self) -> list[str]:
        """Where one can still log in."""
        delete_bad(self.folder)
        RELOAD.write_text("1", encoding="ascii")
        return ["log in to the host", "delete the file", "load the module again"]

    def facts(self) -> Mapping[str, Any]:
        """It keeps no account."""
        return {"events_lost": None, "events_uncounted": None, "said": self.settled()}

    def stop(self) -> None:
        """It stays loaded; the host is turned off."""
        os.close(self._log)


def load(module: Path, parameters: str) -> None:
    """Load a module into this kernel; ModuleError (NOT_LOADED) says what the kernel did."""
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(module, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if library.syscall(FINIT_MODULE, descriptor, parameters.encode(), 0):
            error = os.strerror(ctypes.get_errno())
            raise ModuleError(ModuleReason.NOT_LOADED, f"{module.name}: {error}")
    finally:
        os.close(descriptor)
