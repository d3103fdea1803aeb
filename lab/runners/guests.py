"""What guests of the direct runner are given: kernel, images, module, and what they do.

All hosts have one system without systemd, this checkout and its environment at the same paths as
here, and the cell's own disk; the first thing that runs is the witness.
"""

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from lab.hosts.order import CONTENT
from lab.hosts.stored import IPC_FILE
from lab.kernel_matrix.guest import (
    CHECKOUT,
    SYSTEM_PACKAGES,
    environment,
    environment_image,
    sources_image,
)
from lab.module import build as module_build
from lab.module.permission import WORD
from lab.unchecked import build
from lab.vm import cache, debian, kernel, machine, probe
from lab.vm.accelerator import Accelerator
from lab.vm.errors import VmError, VmReason
from lab.vm.image import Disk, machine_release, system_image
from lab.vm.initramfs import Plan
from lab.vm.kernel import Kernel
from lab.vm.machine import Ending, Guest

PLACE = "/srv/laboratory"
RESCUE_PLACE = "/mnt"
USERS = ("bulkhead-evaluator", "bulkhead-link")
"""Of a sensor's roles; other placements have none."""

PROCESSORS = 1
"""Of a host: two cells are carried out at a time, on machines that have two processors."""

RESCUE_SECONDS = 60.0
"""On a processor of its own."""


@dataclass(frozen=True, slots=True)
class Given:
    """What all hosts share. over: a folder that is put over their root."""

    kernel: Kernel
    accelerator: Accelerator
    disks: Sequence[Disk]
    module: Path
    over: Path


def prepare() -> Given:
    """Make or find all of it; VmError or ModuleError where something can't be had."""
    kernel.require_architecture()
    mirrors = debian.configured_mirrors()
    found = kernel.kernel_of(machine_release(), mirrors)
    accelerator = probe.choose(found).accelerator
    disks = (
        Disk(system_image(SYSTEM_PACKAGES, mirrors), "/"),
        Disk(sources_image(), str(CHECKOUT)),
        Disk(environment_image(), str(environment())),
    )
    module = module_build.module(found, mirrors, accelerator)
    return Given(found, accelerator, disks, module, _over())


def host(given: Given, disk: Path, users: Sequence[str]) -> Guest:
    """A host of a cell, with system users, whose disk is kept."""
    plan = Plan((*given.disks, Disk(disk, PLACE, kept=True)), command(users), over=given.over)
    return Guest(given.kernel, plan, given.accelerator, WORD, PROCESSORS)


def rescue(given: Given, disk: Path, folder: Path, stopping: Event) -> None:
    """Start another medium, mount the host's disk there, and delete the file."""
    bad = shlex.quote(f"{RESCUE_PLACE}/{CONTENT}/{IPC_FILE}")
    plan = Plan((given.disks[0], Disk(disk, RESCUE_PLACE, kept=True)), f"rm -f {bad} && sync\n")
    guest = Guest(given.kernel, plan, given.accelerator, processors=PROCESSORS)
    outcome = machine.run(guest, folder, RESCUE_SECONDS, stopping=stopping)
    if outcome.ending is not Ending.FINISHED or outcome.status != 0:
        raise VmError(VmReason.GUEST_FAILED, f"the rescue ended with {outcome.ending}")


def command(users: Sequence[str]) -> str:
    """The script that runs in a host at each boot; it makes the users first."""
    python = shlex.quote(str(environment() / "bin" / "python"))
    made = [f"useradd --system --no-create-home --shell /usr/sbin/nologin {u}" for u in users]
    return "\n".join(
        [
            f"cd {shlex.quote(str(CHECKOUT))} || exit 1",
            *made,
            f'exec {python} -I -m lab.hosts.witness {PLACE} "$GUEST_RESULTS"',
            "",
        ]
    )


def _over() -> Path:
    """The interpreter's library, which is built here: a host has no compiler."""
    library = build.build()
    # Its path is part of what it is: a checkout that was moved looks for it elsewhere.
    over = cache.FOLDER / f"over-{cache.digest(str(library))}"
    if not over.exists():
        with cache.scratch() as scratch:
            place = scratch / "over" / library.relative_to("/")
            for folder in (scratch / "over", *reversed(place.relative_to(scratch).parents)):
                (scratch / folder).mkdir(mode=0o755, exist_ok=True)
            shutil.copy(library, place)
            (scratch / "over").rename(over)
    return over
