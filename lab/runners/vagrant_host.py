"""A target host that `vagrant up` has made: its disk, its boots, and other media to boot it from.

Libvirt is asked directly: Vagrant would have to be run by whoever made the host, takes seconds for
each word, and expects hosts to be well. A state of the disk is noted once; each cell begins with it
and leaves it. What a host's console shows, and what it writes to its second serial port, libvirt
puts into files that begin anew at each start.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.boxes.model import CHECKOUT
from lab.runners import domain
from lab.vm import cache, commands, initramfs
from lab.vm.errors import VmError, VmReason
from lab.vm.image import Disk
from lab.vm.initramfs import Plan
from lab.vm.kernel import Kernel
from lab.vm.machine import CONSOLE, RESULTS, status_of
from scripts.machine import libvirt

NOTED = "as-provisioned"
"""The name of the snapshot."""

WRITTEN = CHECKOUT / "build" / "vagrant"
RUNNING = Path("/run/libvirt/qemu")
"""Where libvirt has the process id of each host that runs."""

OFF = "shut off"
LOOK_SECONDS = 0.5
TURN_OFF_SECONDS = 60.0
MEDIUM_SECONDS = 60.0
"""On a processor of its own, as all limits here."""

WRITTEN_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class VagrantHost:
    """A host by its name in hosts.json, the kernel of its box, and how slow it is."""

    name: str
    kernel: Kernel
    time_factor: float

    @property
    def domain(self) -> str:
        """What libvirt calls it."""
        return f"{libvirt.prefix(CHECKOUT)}-{self.name}"

    @property
    def exists(self) -> bool:
        """Whether `vagrant up` has made it."""
        return self.domain in virsh("list", "--all", "--name").split()

    @property
    def off(self) -> bool:
        """Whether it does not run; cheap enough to be asked all the time."""
        return not (RUNNING / f"{self.domain}.pid").exists()

    @property
    def results(self) -> Path:
        """The file of what it writes to its second serial port."""
        return WRITTEN / self.name / RESULTS

    @property
    def console(self) -> Path:
        """The file of what its console shows."""
        return WRITTEN / self.name / CONSOLE

    def note(self) -> None:
        """Note the state of the disk, once, of a host that was turned off in order."""
        if NOTED in virsh("snapshot-list", self.domain, "--name").split():
            return
        if not self.off:
            virsh("shutdown", self.domain)
            self._wait_until_off(TURN_OFF_SECONDS)
        if not self.off:
            raise VmError(VmReason.GUEST_FAILED, f"{self.domain} can't be turned off in order")
        virsh("snapshot-create-as", self.domain, NOTED)

    def renew(self) -> None:
        """Turn it off, and have the disk as it was noted."""
        self.cut_power()
        virsh("snapshot-revert", self.domain, NOTED)

    @contextmanager
    def started(self, word: str) -> Iterator[None]:
        """One boot, with a word more for its kernel; off at the latest when the block is left."""
        with self._created(domain.for_one_boot(self._described(), word)):
            yield

    def with_medium(self, script: str, over: Path | None = None) -> None:
        """Boot another medium once: it puts files over the host's root and runs a script there.

        GUEST_FAILED where the script fails or does not come to its end.
        """
        with cache.scratch() as scratch:
            # Libvirt's own user reads it, who can't reach every checkout.
            folder = libvirt.images(CHECKOUT) / "medium"
            folder.mkdir(exist_ok=True)
            plan = Plan((Disk(self.console, "/"),), script, over=over)
            archive = initramfs.build(scratch, self.kernel, plan)
            medium = archive.replace(folder / f"{self.name}.cpio")
            medium.chmod(0o644)
            try:
                with self._created(domain.from_medium(self._described(), medium)):
                    self._wait_until_off(MEDIUM_SECONDS)
            finally:
                medium.unlink()
        status = status_of(written(self.results).splitlines())
        if status != 0:
            raise VmError(
                VmReason.GUEST_FAILED, f"another medium on {self.domain} ended with {status}"
            )

    def cut_power(self) -> None:
        """End it at once; nothing in it learns of that."""
        if virsh("domstate", self.domain).strip() != OFF:
            virsh("destroy", self.domain)

    @contextmanager
    def _created(self, described: str) -> Iterator[None]:
        with cache.scratch() as scratch:
            file = scratch / "domain.xml"
            file.write_text(described, encoding="utf-8")
            self.cut_power()
            try:
                virsh("create", str(file))
                yield
            finally:
                self.cut_power()

    def _described(self) -> str:
        return virsh("dumpxml", "--inactive", self.domain)

    def _wait_until_off(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds * self.time_factor
        while time.monotonic() < deadline and not self.off:
            time.sleep(LOOK_SECONDS)


def written(path: Path) -> str:
    """What a host wrote: any bytes, at most so many."""
    try:
        with path.open("rb") as file:
            return file.read(WRITTEN_BYTES).decode("utf-8", "backslashreplace")
    except FileNotFoundError:
        return ""


def virsh(*words: str) -> str:
    """What libvirt answers; GUEST_FAILED where it refuses."""
    connection = ("--quiet", "--connect", libvirt.SYSTEM)
    return commands.run(VmReason.GUEST_FAILED, "virsh", *connection, *words)
