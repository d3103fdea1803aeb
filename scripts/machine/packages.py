"""The Debian packages that Bulkhead stands on: which are missing, what for, and their installation.

`NEEDED` is what everything stands on, the other lists are what single targets need. What is
installed already is left alone; the package lists are fetched only when something is missing.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.machine.progress import SetupError, run, say, step
from scripts.machine.rights import as_root, can_act_as_root
from scripts.machine.silence import silent

LOCK_SECONDS = 120
"""How long apt may wait for another package manager at work."""


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """A package, what it is for, and what does not work without it.

    Where a command is named, any package that brings it will do. A service that it brings is not
    started.
    """

    name: str
    purpose: str
    without: str
    command: str | None = None
    service: str | None = None


NEEDED = (
    DebianPackage(
        "python3-venv", "makes the Python environment", "no environment, unless pip is there"
    ),
    DebianPackage(
        "python3-bpfcc",
        "BCC: compiles and loads the BPF probes",
        "no BPF: the sensor polls with psutil, and content that needs more is refused",
    ),
    DebianPackage(
        "python3-seccomp",
        "system call filters of the unprivileged roles",
        "the sandbox lacks its system call filter, and `bulkhead agent status` says so",
    ),
    DebianPackage(
        "gcc",
        "compiles the laboratory's unchecked interpreter",
        "the demo can't show the contained crash",
        command="gcc",
    ),
    DebianPackage(
        "libc6-dev",
        "the C library's headers, for the same",
        "the demo can't show the contained crash",
    ),
    DebianPackage(
        "linux-libc-dev",
        "the kernel's names of types, for the same",
        "the demo can't show the contained crash",
    ),
    DebianPackage("make", "runs the targets of the Makefile", "no make targets", "make"),
)

FOR_LINT = (
    DebianPackage("nodejs", "runs buf, the linter of the wire", "`make lint` skips buf", "node"),
    DebianPackage("npm", "fetches buf at its pinned version", "`make lint` skips buf", "npm"),
)

_NO_BROWSER = "the tests of the console in a browser are skipped"
FOR_TESTS = (
    DebianPackage("chromium", "shows the operators' console to its tests", _NO_BROWSER, "chromium"),
    DebianPackage("chromium-driver", "lets these tests use it", _NO_BROWSER, "chromedriver"),
    DebianPackage("fonts-dejavu-core", "letters its pages", _NO_BROWSER),
    DebianPackage(
        "postgresql-15",
        "is the database that replicas of the cloud share",
        "the tests of replicas are skipped",
        service="postgresql.service",
    ),
    DebianPackage(
        "nats-server",
        "is what replicas hear of each other by",
        "the tests of it are skipped",
        "nats-server",
        service="nats-server.service",
    ),
)

_NO_PEERS = "`bench.host_cost` leaves it out"
FOR_BENCH = (
    DebianPackage("auditd", "is what the sensor's cost is compared with", _NO_PEERS),
    DebianPackage("bpftrace", "is what the sensor's cost is compared with", _NO_PEERS),
)

_NO_VMS = "`make kernel-matrix`, `make boot-lab` and `make lab` can't start virtual machines"
FOR_VMS = (
    DebianPackage("qemu-system-x86", "runs virtual machines", _NO_VMS),
    DebianPackage("mmdebstrap", "builds their file systems from Debian packages", _NO_VMS),
    DebianPackage("e2fsprogs", "makes disk images of these", _NO_VMS),
    DebianPackage("busybox-static", "is what a guest starts with", _NO_VMS),
    DebianPackage("cpio", "packs that for the kernel", _NO_VMS),
    DebianPackage(
        "fonts-dejavu-core", "letters the laboratory's figures", "its pictures (PNG) have no words"
    ),
)

_NO_VAGRANT = "`vagrant up`, `make boxes` and `make lab RUNNER=vagrant` can't be had"
FOR_VAGRANT = (
    *FOR_VMS,
    DebianPackage("vagrant", "brings hosts up as vagrant/Vagrantfile says", _NO_VAGRANT, "vagrant"),
    DebianPackage("vagrant-libvirt", "has it use libvirt", _NO_VAGRANT),
    DebianPackage("libvirt-daemon-system", "runs these hosts and their networks", _NO_VAGRANT),
    DebianPackage("libvirt-clients", "orders it to start, stop and repair them", _NO_VAGRANT),
    DebianPackage("dnsmasq-base", "gives hosts their addresses", _NO_VAGRANT),
    DebianPackage("kmod", "lists the modules of a box's kernel", _NO_VAGRANT),
    DebianPackage("qemu-utils", "makes disk images of boxes", _NO_VAGRANT),
    DebianPackage("rsync", "brings the checkout to the hosts", _NO_VAGRANT, "rsync"),
    DebianPackage("openssh-client", "runs commands on them", _NO_VAGRANT, "ssh"),
)


def missing(wanted: Sequence[DebianPackage]) -> list[DebianPackage]:
    """Those that are not installed; all of them where this is not a Debian."""
    if shutil.which("dpkg-query") is None:
        return list(wanted)
    # An unknown name makes dpkg-query fail, so the whole list is asked for and compared.
    listed = run(["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n"])
    installed = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    return [p for p in wanted if p.name not in installed and not _brought_otherwise(p)]


def install(wanted: Sequence[DebianPackage]) -> list[DebianPackage]:
    """Install what is missing and return what is missing still, which has been said then."""
    absent = missing(wanted)
    if not absent:
        return []
    if shutil.which("apt-get") is None or not can_act_as_root():
        _tell_what_is_missing(absent)
        return absent
    for package in absent:
        say(f"Debian package {package.name}: {package.purpose}")
    with step("fetching Debian's package lists"):
        _apt("update")
    services = [p.service for p in absent if p.service is not None]
    with step(f"installing {len(absent)} Debian packages"), silent(services):
        _apt("install", "--no-install-recommends", "--yes", *(p.name for p in absent))
    return []


def _brought_otherwise(package: DebianPackage) -> bool:
    return package.command is not None and shutil.which(package.command) is not None


def _apt(*arguments: str) -> None:
    settings = ["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
    command = ["env", *settings, "apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={LOCK_SECONDS}"]
    try:
        run(as_root([*command, *arguments]))
    except SetupError as error:
        # An earlier installation that was interrupted stops every later one until it is finished.
        if "dpkg --configure -a" not in str(error):
            raise
        run(as_root(["env", *settings, "dpkg", "--configure", "-a"]))
        run(as_root([*command, *arguments]))


def _tell_what_is_missing(absent: Sequence[DebianPackage]) -> None:
    say("neither root nor sudo: these Debian packages stay missing")
    for package in absent:
        say(f"  {package.name} ({package.purpose}): {package.without}")
    say(f"  an administrator can run: apt-get install {' '.join(p.name for p in absent)}")
