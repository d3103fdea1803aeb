"""Cells on guests of QEMU, without anything between.

`python -m lab.runners.direct ARM FAULT` carries out one cell and prints what was measured as JSON;
consoles are kept in build/lab/direct. Exit status: 0 if the outcome is the expected one, 1 if not,
2 for wrong use, 3 if there can be no host, 130 if interrupted.

Each cell has a disk of its own, which lives as long as the cell: the host boots from it again after
a panic, as firmware would start it, and a rescue repairs it from another medium. All other disks
are never changed. Whatever was started has ended when `run` returns or raises.
"""

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event

from content.escape import safe
from lab.cells import judging
from lab.cells.finding import PartError, arms, faults
from lab.cells.model import Cell, Environment, Measured, Outcome
from lab.cells.parts import Arm, Delivery, Fault, Placement
from lab.cells.runner import RunnerError
from lab.cells.story import SILENCE_SECONDS, Boot, End, Next, after
from lab.kernel_matrix.guest import CHECKOUT
from lab.module.permission import ModuleError
from lab.runners import boots, guests, packing
from lab.runners.guests import Given
from lab.vm import cache
from lab.vm.errors import VmError
from lab.vm.image import kept_image
from lab.vm.limits import LIMITS, MEBIBYTE
from lab.vm.machine import CONSOLE, Guest

FOLDER = CHECKOUT / "build" / "lab" / "direct"
AS_EXPECTED, DIFFERS, WRONG_USE, NO_HOST, INTERRUPTED = 0, 1, 2, 3, 130
FREE_MEBIBYTES = 4096
"""Images of all guests together take about so much."""

DISK = "disk.ext4"
DISK_MEBIBYTES = 192
AT_ONCE = 2
"""Cells at a time, where there are as many processors: a host has one."""

BOOT_SECONDS = 60.0
"""Until anything is heard of a host, on a processor of its own."""

SECONDS = {Placement.MODULE: 35, Placement.AGENT: 85, Placement.SENSOR: 80, Placement.BPF: 30}
"""About how long a cell takes on emulated processors of an idle machine."""


@dataclass(slots=True)
class DirectRunner:
    """A `Runner`; `prepare` makes or finds images, kernel and module."""

    name: str = "direct"
    at_once: int = field(default_factory=lambda: min(AT_ONCE, os.cpu_count() or 1))
    _given: Given | None = None
    _stopping: Event = field(default_factory=Event)

    def prepare(self) -> Environment:
        """What all cells need; RunnerError where there can be no host."""
        if os.geteuid() != 0:
            raise RunnerError("NOT_ROOT: images have files of root's; expected root or sudo")
        cache.FOLDER.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(cache.FOLDER).free // MEBIBYTE
        if free < FREE_MEBIBYTES:
            raise RunnerError(
                f"NO_SPACE: {cache.FOLDER}: {free} MiB free, expected {FREE_MEBIBYTES} or more"
            )
        try:
            self._given = guests.prepare()
        except (VmError, ModuleError) as error:
            raise RunnerError(str(error)) from error
        kernel = self._given.kernel
        return Environment(
            runner=self.name,
            accelerator=self._given.accelerator.name,
            release=kernel.release,
            kernel=kernel.version,
            processors=guests.PROCESSORS,
            memory_mebibytes=LIMITS.memory_mebibytes,
        )

    def run(self, cell: Cell, folder: Path) -> Measured:
        """Carry out one cell; consoles are left in the folder."""
        if self._given is None:
            self.prepare()
        given, arm, fault = self._given, arms()[cell.arm], faults()[cell.fault]
        if given is None:
            raise RunnerError("NOT_PREPARED: prepare has not been called")
        began = time.monotonic()
        try:
            story = carry_out(given, arm, fault, folder, self._stopping)
        except (VmError, ModuleError) as error:
            raise RunnerError(str(error)) from error
        if not any(one.boot_id for one in story):
            raise RunnerError(f"HOST_NOT_BOOTED: {_last_words(folder)}")
        if story[-1].failure and story[-1].end is not End.DONE:
            raise RunnerError(story[-1].failure)
        return judging.judge(story, time.monotonic() - began)

    def stop(self) -> None:
        """Hosts that are being watched end at once."""
        self._stopping.set()

    def estimate_seconds(self, cell: Cell) -> float:
        """About how long a cell takes."""
        arm, fault = arms()[cell.arm], faults()[cell.fault]
        silent = fault.hangs and fault.expected[arm.name].outcome is Outcome.HOST_LOST
        return SECONDS[arm.placement] + (SILENCE_SECONDS if silent else 0.0)


def carry_out(given: Given, arm: Arm, fault: Fault, folder: Path, stopping: Event) -> list[Boot]:
    """All boots of a cell, until protection is there or nothing more can be done."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = folder / DISK
    try:
        with cache.scratch() as scratch:
            content = scratch / "content"
            content.mkdir()
            module = given.module if arm.placement is Placement.MODULE else None
            packing.pack(content, arm, fault, given.accelerator.time_factor, module)
            kept_image(content, disk, DISK_MEBIBYTES)
        users = guests.USERS if arm.placement is Placement.SENSOR else ()
        return _boots(given, fault, guests.host(given, disk, users), folder, stopping)
    finally:
        disk.unlink(missing_ok=True)


def _boots(given: Given, fault: Fault, host: Guest, folder: Path, stopping: Event) -> list[Boot]:
    story: list[Boot] = []
    rescued = False
    seconds = BOOT_SECONDS * given.accelerator.time_factor
    while True:
        place = folder / f"boot-{len(story) + 1}"
        cut = fault.delivery is Delivery.POWER_CUT and not story
        story.append(boots.boot(host, place, seconds, stopping, rescued=rescued, cut=cut))
        decision = after(story)
        if decision in (Next.FINISH, Next.GIVE_UP):
            return story
        rescued = decision is Next.RESCUE
        if rescued:
            guests.rescue(given, folder / DISK, folder / "rescue", stopping)


def _last_words(folder: Path) -> str:
    consoles = sorted(folder.glob(f"boot-*/{CONSOLE}"))
    lines = boots.console(consoles[-1].parent).strip().splitlines() if consoles else []
    return safe(lines[-1]) if lines else "its console shows nothing"


def main() -> int:
    """The command; its exit status."""
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.default_int_handler)
    try:
        cell = Cell(*sys.argv[1:])
        expected = faults()[cell.fault].expected[cell.arm]
    except PartError as error:
        sys.stderr.write(f"error: {safe(str(error))}\n")
        return NO_HOST
    except (KeyError, TypeError):
        known = f"arms {', '.join(arms())}; faults {', '.join(faults())}"
        sys.stderr.write(f"usage: python -m lab.runners.direct ARM FAULT\n{known}\n")
        return WRONG_USE
    try:
        runner = DirectRunner()
        environment = runner.prepare()
        measured = runner.run(cell, FOLDER / cell.arm / cell.fault)
    except RunnerError as error:
        sys.stderr.write(f"error: {safe(str(error))}\n")
        return NO_HOST
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    document = {
        "cell": str(cell),
        "environment": asdict(environment),
        "expected": asdict(expected),
        "measured": asdict(measured),
    }
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
    return AS_EXPECTED if measured.outcome is expected.outcome else DIFFERS


if __name__ == "__main__":
    sys.exit(main())
