"""A target host that `vagrant up` has made: run a command on it, cut its power, repair it.

Libvirt is asked directly, and the host is reached by its address in the private network: Vagrant
would have to be run by whoever made the host, takes seconds for each word, and expects hosts to be
well. A state of the disk that was noted once is what each cell begins with.

A host leaves two files that libvirt begins anew at each start: what its console shows, and what
programs in it write to its second serial port.
"""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from lab.boxes.model import CHECKOUT
from lab.runners import rescue_xml
from lab.vm import commands, initramfs
from lab.vm.errors import VmError, VmReason
from lab.vm.image import Disk
from lab.vm.initramfs import Plan
from lab.vm.kernel import Kernel
from lab.vm.machine import status_of
from scripts.machine import libvirt

NOTED = "as-provisioned"
"""The name of the snapshot."""

MACHINES = CHECKOUT / "vagrant" / ".vagrant" / "machines"
CONSOLES = CHECKOUT / "build" / "vagrant"
CONSOLE, RESULTS = "console.log", "results.log"
USER = "vagrant"
LOOK_SECONDS = 1.0
CONNECT_SECONDS = 10
CAP_BYTES = 16 * 1024 * 1024
"""Read of what a host wrote."""

OFF = "shut off"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended on a host, and what it wrote to both of its outputs."""

    status: int
    output: str


@dataclass(frozen=True, slots=True)
class VagrantHost:
    """A host by its name and its address in the private network."""

    name: str
    address: str
    time_factor: float
    domain: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "domain", f"{libvirt.prefix(CHECKOUT)}-{self.name}")

    @property
    def state(self) -> str:
        """What libvirt says of it, "" where it has no such host."""
        names = virsh("list", "--all", "--name").split()
        return virsh("domstate", self.domain).strip() if self.domain in names else ""

    def note(self) -> None:
        """Note the state of the disk once, of a host that was turned off in order."""
        if NOTED in virsh("snapshot-list", self.domain, "--name").split():
            return
        if self.state != OFF:
            self.run(["sudo", "systemctl", "poweroff"])
            self._wait_until_off(60 * self.time_factor)
        virsh("snapshot-create-as", self.domain, NOTED)

    def renew(self) -> None:
        """Turn it off, and have the disk as it was noted."""
        self.cut_power()
        virsh("snapshot-revert", self.domain, NOTED)

    def start(self) -> None:
        """Turn it on; it may take minutes until it can be reached."""
        virsh("start", self.domain)

    def reset(self) -> None:
        """Restart it as the button on a machine's front does."""
        virsh("reset", self.domain)

    def cut_power(self) -> None:
        """End it at once; nothing in it learns of that."""
        if self.state != OFF:
            virsh("destroy", self.domain)

    def wait_until_reached(self, seconds: float) -> bool:
        """Whether it answers within that time, of a processor of its own."""
        deadline = time.monotonic() + seconds * self.time_factor
        while time.monotonic() < deadline:
            if self.run(["true"]).status == 0:
                return True
            time.sleep(LOOK_SECONDS)
        return False

    def run(self, words: Sequence[str], given: str = "", seconds: float = 600.0) -> Ran:
        """Run a command there; 255 where the host can't be reached, 124 where time is up."""
        command = [commands.find("ssh"), *self._ssh_options(), f"{USER}@{self.address}", *words]
        try:
            ended = subprocess.run(
                command,
                check=False,
                input=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="backslashreplace",
                timeout=seconds * self.time_factor,
            )
        except subprocess.TimeoutExpired:
            return Ran(124, "")
        return Ran(ended.returncode, ended.stdout)

    def console(self) -> str:
        """What its console has shown since it was turned on."""
        return self._written(CONSOLE)

    def results(self) -> list[str]:
        """Lines that programs in it have written to its second serial port."""
        return self._written(RESULTS).splitlines()

    def rescue(self, script: str, kernel: Kernel, seconds: float) -> int | None:
        """Boot another medium that runs a shell script over the host's disk; its exit status.

        The disk is mounted as the root. The host is off afterwards, whatever became of it.
        """
        self.cut_power()
        folder = libvirt.images(CHECKOUT) / "rescue"
        folder.mkdir(exist_ok=True)
        medium = initramfs.build(folder, kernel, Plan((Disk(folder, "/"),), script))
        described = virsh("dumpxml", "--inactive", self.domain)
        (folder / "domain.xml").write_text(rescue_xml.with_medium(described, medium))
        virsh("create", str(folder / "domain.xml"))
        try:
            self._wait_until_off(seconds * self.time_factor)
        finally:
            self.cut_power()
        return status_of(self.results())

    def _wait_until_off(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.state != OFF:
            time.sleep(LOOK_SECONDS)

    def _written(self, name: str) -> str:
        try:
            with (CONSOLES / self.name / name).open("rb") as file:
                return file.read(CAP_BYTES).decode("utf-8", "backslashreplace")
        except FileNotFoundError:
            return ""

    def _ssh_options(self) -> list[str]:
        key = MACHINES / self.name / "libvirt" / "private_key"
        settings = (
            *("BatchMode=yes", f"ConnectTimeout={CONNECT_SECONDS}", "LogLevel=ERROR"),
            # A host makes a key of its own, and cells begin with hosts that are renewed.
            *("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes"),
        )
        options = [word for setting in settings for word in ("-o", setting)]
        return ["-F", "/dev/null", "-i", str(key), *options]


def virsh(*words: str) -> str:
    """What libvirt answers; VmError (GUEST_FAILED) where it refuses."""
    connection = ("--quiet", "--connect", libvirt.SYSTEM)
    return commands.run(VmReason.GUEST_FAILED, "virsh", *connection, *words)


def require(host: VagrantHost) -> None:
    """GUEST_FAILED, with what to do, where the host has not been made."""
    if not host.state:
        raise VmError(
            VmReason.GUEST_FAILED,
            f"libvirt has no host {host.domain}: run vagrant up cloud {host.name} in vagrant/",
        )
