"""Cells on a target host of vagrant/Vagrantfile: `vagrant up`, then `make lab RUNNER=vagrant`.

The host is a Debian as `vagrant up` has provisioned it, systemd and all; the witness is one of its
services. A cell begins with the disk as it was then, gets its order from another medium, and is
booted again after each panic, as firmware would do it; a rescue comes from another medium as well.
Afterwards the host is off and its disk as it was. BULKHEAD_VAGRANT_HOST names another target.
"""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from content.escape import safe
from lab.boxes import model, registry
from lab.boxes.model import CHECKOUT
from lab.boxes.root import PLACE as CHECKOUT_THERE
from lab.cells import judging
from lab.cells.finding import arms, faults
from lab.cells.model import Cell, Environment, Measured
from lab.cells.parts import Arm, Delivery, Fault, Placement
from lab.cells.runner import RunnerError
from lab.cells.story import Boot, Next, after
from lab.hosts.order import CONTENT
from lab.hosts.stored import IPC_FILE
from lab.module import build as module_build
from lab.module.permission import WORD, ModuleError
from lab.runners import boots, packing
from lab.runners.boots import Ear
from lab.runners.direct import BOOT_SECONDS, DirectRunner
from lab.runners.guests import PLACE
from lab.runners.vagrant_host import VagrantHost
from lab.unchecked import build
from lab.vm import cache, commands, debian, kernel
from lab.vm.accelerator import KVM, TCG, Accelerator
from lab.vm.errors import VmError
from lab.vm.limits import LIMITS
from lab.vm.machine import CONSOLE
from scripts.machine.service import TEMPLATE as AGENT

HOST = "BULKHEAD_VAGRANT_HOST"
DEFAULT_HOST = "debian-12"
UNITS = Path("etc/systemd/system")
UNIT = "bulkhead-laboratory.service"
TARGET = "multi-user.target"
WITNESS = f"""[Unit]
Description=Bulkhead's laboratory: the witness of a cell
ConditionKernelCommandLine={WORD}

[Service]
ExecStart={CHECKOUT_THERE}/.venv/bin/python -I -m lab.hosts.witness {PLACE} /dev/ttyS1
ExecStopPost=/bin/sh -c 'echo "guest: status $EXIT_STATUS" >/dev/ttyS1'
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy={TARGET}
"""
NO_OTHER_SENSOR = f"[Unit]\nConditionKernelCommandLine=!{WORD}\n"
"""For the sensor that the host was provisioned with: a cell brings its own."""

SYSTEM_SECONDS = 120.0
"""What systemd adds to a cell on emulated processors of an idle machine."""


@dataclass(frozen=True, slots=True)
class Given:
    """The host, and what all of its cells are given."""

    host: VagrantHost
    accelerator: Accelerator
    module: Path
    library: Path


class VagrantRunner:
    """A `Runner`; what `vagrant up` has made stays, as it was."""

    name = "vagrant"
    at_once = 1

    def __init__(self) -> None:
        self._given: Given | None = None

    def prepare(self) -> Environment:
        """Find the host and note its state; RunnerError where there is none."""
        if os.geteuid() != 0:
            raise RunnerError("NOT_ROOT: media have files of root's; expected root or sudo")
        try:
            self._given = _given(os.environ.get(HOST, DEFAULT_HOST))
        except (VmError, ModuleError) as error:
            raise RunnerError(str(error)) from error
        boots_with = self._given.host.kernel
        return Environment(
            runner=self.name,
            accelerator=self._given.accelerator.name,
            release=boots_with.release,
            kernel=boots_with.version,
            processors=LIMITS.processors,
            memory_mebibytes=LIMITS.memory_mebibytes,
        )

    def run(self, cell: Cell, folder: Path) -> Measured:
        """Carry out one cell; consoles are left in the folder."""
        if self._given is None:
            self.prepare()
        if self._given is None:
            raise RunnerError("NOT_PREPARED: prepare has not been called")
        given, arm, fault = self._given, arms()[cell.arm], faults()[cell.fault]
        began = time.monotonic()
        try:
            story = carry_out(given, arm, fault, folder)
        except (VmError, ModuleError) as error:
            raise RunnerError(str(error)) from error
        if not any(one.boot_id for one in story):
            words = (folder / f"boot-{len(story)}" / CONSOLE).read_text(errors="replace")
            lines = words.strip().splitlines() or ["its console shows nothing"]
            raise RunnerError(f"HOST_NOT_BOOTED: {safe(lines[-1])}")
        return judging.judge(story, time.monotonic() - began)

    def stop(self) -> None:
        """Cells run in the main thread, where an interruption reaches them."""

    def estimate_seconds(self, cell: Cell) -> float:
        """About how long a cell takes."""
        return DirectRunner().estimate_seconds(cell) + SYSTEM_SECONDS


def carry_out(given: Given, arm: Arm, fault: Fault, folder: Path) -> list[Boot]:
    """All boots of a cell, until protection is there or nothing more can be done."""
    host = given.host
    host.renew()
    try:
        with cache.scratch() as scratch:
            over = put_over(scratch / "over", given, arm, fault)
            host.with_medium("exit 0\n", over)
        return _boots(given, fault, folder)
    finally:
        host.renew()


def put_over(over: Path, given: Given, arm: Arm, fault: Fault) -> Path:
    """Write what a cell puts over the host's root: its order, the library, and the witness."""
    place = over / PLACE.lstrip("/")
    place.mkdir(parents=True)
    module = given.module if arm.placement is Placement.MODULE else None
    packing.pack(place, arm, fault, given.accelerator.time_factor, module)
    library = over / CHECKOUT_THERE.relative_to("/") / given.library.relative_to(CHECKOUT)
    library.parent.mkdir(parents=True)
    shutil.copy(given.library, library)
    units = over / UNITS
    wanted, added = units / f"{TARGET}.wants", units / f"{AGENT.name}.d"
    for one in (wanted, added):
        one.mkdir(parents=True)
    (units / UNIT).write_text(WITNESS, encoding="utf-8")
    (wanted / UNIT).symlink_to(Path("/", UNITS, UNIT))
    (added / "laboratory.conf").write_text(NO_OTHER_SENSOR, encoding="utf-8")
    return over


def _boots(given: Given, fault: Fault, folder: Path) -> list[Boot]:
    story: list[Boot] = []
    rescued = False
    while True:
        place = folder / f"boot-{len(story) + 1}"
        cut = fault.delivery is Delivery.POWER_CUT and not story
        story.append(_boot(given, place, rescued=rescued, cut=cut))
        decision = after(story)
        if decision in (Next.FINISH, Next.GIVE_UP):
            return story
        rescued = decision is Next.RESCUE
        if rescued:
            given.host.with_medium(f"rm -f {PLACE}/{CONTENT}/{IPC_FILE}\n")


def _boot(given: Given, folder: Path, *, rescued: bool, cut: bool) -> Boot:
    host = given.host
    folder.mkdir(parents=True, exist_ok=True)
    seconds = (BOOT_SECONDS + SYSTEM_SECONDS) * given.accelerator.time_factor
    began = time.monotonic()
    with host.started(WORD):
        ear = Ear(host.results)
        end = boots.watch(lambda: host.off, ear, seconds, cut=cut)
    for path in (host.console, host.results):
        shutil.copyfile(path, folder / path.name)
    return boots.told(ear, began, end, boots.console(folder), rescued=rescued)


def _given(name: str) -> Given:
    for command in ("vagrant", "virsh"):
        commands.find(command)
    made = registry.read()
    box = model.targets().get(name)
    if box is None:
        known = ", ".join(model.targets())
        raise RunnerError(f"HOST_UNKNOWN: {HOST}={safe(name)}; expected one of {known}")
    if not made or box.name not in made["boxes"]:
        raise RunnerError(f"BOXES_MISSING: {registry.PATH} has no box {box.name}: run make boxes")
    registry.require_served()
    folder = Path(made["boxes"][box.name]["archive"]).parent
    boots_with = kernel.kept_kernel(box.kernel, folder)
    accelerator = KVM if made["driver"] == "kvm" else TCG
    host = VagrantHost(name, boots_with, accelerator.time_factor)
    if not host.exists:
        raise RunnerError(
            f"HOST_MISSING: libvirt has no {host.domain}: run vagrant up in vagrant/ first"
        )
    host.note()
    module = module_build.module(boots_with, debian.configured_mirrors(), accelerator)
    return Given(host, accelerator, module, build.build())
