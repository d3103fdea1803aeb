"""A guest under QEMU: started, watched, and always ended.

`started` is a running guest for whoever wants to watch or to cut its power; `run` lets a guest do
its command and says how that ended. In a folder of its own a guest leaves `console.log` (kernel and
command), `results.log` (its second serial port) and `qemu.log`. Disks are never changed: QEMU keeps
what is written in files that have no name. Only a disk that is to be kept takes what is written:
another start with it is another boot of the same host.

QEMU is killed by the kernel when whoever started it is gone, however that came about.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from threading import Event

from lab.vm import commands, initramfs
from lab.vm.accelerator import Accelerator
from lab.vm.initramfs import Plan
from lab.vm.kernel import Kernel
from lab.vm.limits import LIMITS

CONSOLE = "console.log"
RESULTS = "results.log"
QEMU_SAID = "qemu.log"

MARK = "guest: "
READY = f"{MARK}ready"
STATUS = f"{MARK}status "
"""What guest-init says on the second serial port."""

PANIC = "Kernel panic"
KERNEL_ARGUMENTS = "console=ttyS0 quiet panic=-1 oops=panic mitigations=off"
"""A panic restarts at once, which QEMU is told to take as the end."""


class Ending(StrEnum):
    """How a guest came to its end."""

    FINISHED = "FINISHED"  # its command ran to its end
    NOT_BOOTED = "NOT_BOOTED"  # it never got as far as its command
    PANICKED = "PANICKED"
    TIMED_OUT = "TIMED_OUT"
    DIED = "DIED"  # QEMU ended before the command did


@dataclass(frozen=True, slots=True)
class Guest:
    """What is started: a kernel and what it is to do; the kernel may be told more (arguments)."""

    kernel: Kernel
    plan: Plan
    accelerator: Accelerator
    arguments: str = ""
    processors: int = LIMITS.processors


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a guest ended, its command's exit status, what it wrote, and how long things took."""

    ending: Ending
    status: int | None
    results: list[str]
    console_tail: str
    boot_seconds: float | None
    seconds: float


@dataclass(slots=True)
class Machine:
    """A running guest. stopping: once it is set, who waits gets a KeyboardInterrupt."""

    process: subprocess.Popen[bytes]
    folder: Path
    stopping: Event = field(default_factory=Event)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within that time."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                return False
            self._pause()
        return True

    def wait_until_ready(self, seconds: float) -> float | None:
        """When its command was started (monotonic); None if it ended before or time is up."""
        deadline = time.monotonic() + seconds
        while READY not in self.results():
            if time.monotonic() > deadline or self.process.poll() is not None:
                return None
            self._pause()
        return time.monotonic()

    def cut_power(self) -> None:
        """End it at once; nothing in it learns of that."""
        self.process.kill()
        self.process.wait(LIMITS.end_seconds)

    def results(self) -> list[str]:
        """Lines that it has written to its second serial port so far."""
        return _text(self.folder / RESULTS, LIMITS.results_bytes).splitlines()

    def console_tail(self) -> str:
        """The end of what its console shows, and before it of what QEMU itself had to say."""
        said = [_text(self.folder / n, LIMITS.console_tail_bytes) for n in (QEMU_SAID, CONSOLE)]
        return "\n".join(text.strip() for text in said if text.strip())

    def _pause(self) -> None:
        if self.stopping.wait(LIMITS.look_seconds):
            raise KeyboardInterrupt


def command_line(guest: Guest, archive: Path, folder: Path) -> list[str]:
    """QEMU's arguments; no network, no display, two serial ports that are files."""
    accelerator = guest.accelerator
    arguments = ["-name", "bulkhead-guest", "-nodefaults", "-no-user-config", "-no-reboot"]
    arguments += ["-display", "none", "-accel", accelerator.name, "-cpu", accelerator.processor]
    arguments += ["-m", f"{LIMITS.memory_mebibytes}M", "-smp", str(guest.processors)]
    arguments += ["-serial", f"file:{folder / CONSOLE}", "-serial", f"file:{folder / RESULTS}"]
    arguments += ["-kernel", str(guest.kernel.image), "-initrd", str(archive)]
    arguments += ["-append", f"{KERNEL_ARGUMENTS} {guest.arguments}".strip()]
    for disk in guest.plan.disks:
        # A comma in a path is doubled: else it would end the path.
        image = str(disk.image).replace(",", ",,")
        snapshot = "off" if disk.kept else "on"
        arguments += ["-drive", f"file={image},if=virtio,format=raw,snapshot={snapshot}"]
    return arguments


@contextmanager
def started(guest: Guest, folder: Path) -> Iterator[Machine]:
    """A running guest, ended at the latest when the block is left."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CONSOLE, RESULTS, QEMU_SAID):
        (folder / name).write_bytes(b"")
    archive = initramfs.build(folder, guest.kernel, guest.plan)
    qemu = [commands.find("qemu-system-x86_64"), *command_line(guest, archive, folder)]
    with (folder / QEMU_SAID).open("wb") as said:
        process = subprocess.Popen(
            [*bound_to(os.getpid()), *qemu],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=commands.environment(),
        )
    machine = Machine(process, folder)
    try:
        yield machine
    finally:
        machine.cut_power()
        archive.unlink(missing_ok=True)


def bound_to(owner: int) -> list[str]:
    """What a command line begins with so that the kernel kills it when its owner, a parent, dies.

    An owner that died before that was arranged is noticed: nothing is started then.
    """
    return [
        *(commands.find("setpriv"), "--pdeathsig", "KILL"),
        *("/bin/sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"', str(owner)),
    ]


def run(
    guest: Guest,
    folder: Path,
    seconds: float,
    boot_seconds: float = LIMITS.boot_seconds,
    stopping: Event | None = None,
) -> Outcome:
    """Let a guest do its command; both limits grow with the accelerator's factor.

    seconds: for the command, after the guest has booted. KeyboardInterrupt once it is to stop.
    """
    factor = guest.accelerator.time_factor
    with started(guest, folder) as machine:
        machine.stopping = stopping or machine.stopping
        began = time.monotonic()
        booted = machine.wait_until_ready(boot_seconds * factor)
        ended_itself = machine.wait(seconds * factor if booted else 0)
        ended = time.monotonic()
    lines = machine.results()
    console = machine.console_tail()
    return Outcome(
        ending=ending_of(lines, console, ended_itself=ended_itself),
        status=status_of(lines),
        results=[line for line in lines if not line.startswith(MARK)],
        console_tail=console,
        boot_seconds=None if booted is None else booted - began,
        seconds=ended - began,
    )


def ending_of(lines: Sequence[str], console: str, *, ended_itself: bool) -> Ending:
    """Judge by what a guest wrote to its second serial port and to its console."""
    if status_of(lines) is not None:
        return Ending.FINISHED
    if PANIC in console:
        return Ending.PANICKED
    if READY not in lines:
        return Ending.NOT_BOOTED
    return Ending.DIED if ended_itself else Ending.TIMED_OUT


def status_of(lines: Sequence[str]) -> int | None:
    """The exit status of the command, if it ended."""
    told = [line.removeprefix(STATUS) for line in lines if line.startswith(STATUS)]
    return int(told[-1]) if told and told[-1].isdigit() else None


def _text(path: Path, most_bytes: int) -> str:
    """The end of a file that a guest wrote: any bytes, at most so many."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most_bytes))
        return file.read(most_bytes).decode("utf-8", "backslashreplace")
