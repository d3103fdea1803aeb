"""What the guests of the boot laboratory are given.

A host has a Debian with systemd, this checkout and its environment at the same paths as here, the
shipped unit as scripts/service writes it, the system users by sysusers.d, and services that start
as ordinary ones do. What is put over the root is gone at the next start and put there again; only
the disk at /var/lib/bulkhead is kept.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloud.signing import SigningKey
from lab.kernel_matrix.guest import (
    CHECKOUT,
    SYSTEM_PACKAGES,
    environment,
    environment_image,
    sources_image,
)
from lab.unchecked import build
from lab.vm.accelerator import Accelerator
from lab.vm.debian import Mirrors
from lab.vm.image import Disk, kept_image, system_image
from lab.vm.initramfs import Plan
from lab.vm.kernel import Kernel
from lab.vm.machine import Guest
from scripts.machine.service import TEMPLATE, unit

PACKAGES = (*SYSTEM_PACKAGES, "cron", "dbus", "kmod", "systemd", "systemd-sysv", "udev")
"""With a few services that a host has, to be started before or after the sensor."""

STATE = Path("/var/lib/bulkhead")
STATE_MEBIBYTES = 256
KEYS = Path("etc/bulkhead")
PRIVATE_KEY, PUBLIC_KEY, ROLES = "signing.key", "signing.pub", "roles.json"
SYSUSERS = CHECKOUT / "packaging" / "bulkhead.sysusers"
INIT = "/lib/systemd/systemd"
MACHINE_ID = "b0117ab0000000000000000000000001"
"""Without one, systemd takes each boot for a machine's first and presets all units."""

NOT_OF_A_BOOT = ("ldconfig", "systemd-hwdb-update", "systemd-journal-catalog-update")
"""Services that run once after an update of the system; here each boot would be such a one."""

ARGUMENTS = " ".join(
    [
        "systemd.unit=multi-user.target systemd.getty_auto=no",
        "systemd.journald.forward_to_console=1 systemd.show_status=0",
        # The kernel counts programs from its start on: before any sensor there is a witness.
        "trace_event=sched:sched_process_exec trace_clock=boot",
        *(f"systemd.mask={name}.service" for name in NOT_OF_A_BOOT),
    ]
)

EMULATED = {"collector": "lab.boot.few", "evaluator": "lab.boot.slow_evaluator"}
"""Roles on emulated processors."""

WITNESS = "bulkhead-witness.service"
WITNESS_UNIT = """[Unit]
Description=Boot laboratory: what an ordinary service finds

[Service]
Environment=GUEST_RESULTS=/dev/ttyS1
ExecStart={python} -I -m lab.boot.witness
TimeoutStopSec=5s

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Given:
    """What all guests share: kernel and images, how processors are run, and the signing key."""

    kernel: Kernel
    disks: Sequence[Disk]
    accelerator: Accelerator
    key: SigningKey


def disks(mirrors: Mirrors) -> tuple[Disk, ...]:
    """System and environment are kept; the sources are put into an image anew."""
    return (
        Disk(system_image(PACKAGES, mirrors), "/"),
        Disk(sources_image(), str(CHECKOUT)),
        Disk(environment_image(), str(environment())),
    )


def state_disk(state: Path, image: Path) -> Disk:
    """A disk at the sensor's state folder that begins with a folder's content and is kept."""
    kept_image(state, image, STATE_MEBIBYTES)
    return Disk(image, str(STATE), kept=True)


def host(given: Given, over: Path, state: Disk) -> Guest:
    """A host that boots with systemd."""
    plan = Plan((*given.disks, state), init=INIT, over=over)
    return Guest(given.kernel, plan, given.accelerator, ARGUMENTS)


def updated(given: Given, over: Path, state: Disk, options: str) -> Guest:
    """A guest without systemd in which content is updated until its power is cut."""
    command = "\n".join(
        [
            "systemd-sysusers || exit 1",
            f"exec {python()} -I -m lab.boot.updates {STATE} "
            f"/{KEYS}/{PRIVATE_KEY} /{KEYS}/{PUBLIC_KEY} {options}".rstrip(),
            "",
        ]
    )
    plan = Plan((*given.disks, state), command, over=over)
    return Guest(given.kernel, plan, given.accelerator)


def put_over(folder: Path, key: SigningKey, *, unchecked: bool, factor: float = 1.0) -> Path:
    """Write what is put over a guest's root.

    unchecked: with the laboratory's role table. factor: how many times longer things may take.
    """
    shutil.rmtree(folder, ignore_errors=True)
    arguments = f"--trust /{KEYS}/{PUBLIC_KEY}"
    roles = dict(EMULATED) if factor > 1 else {}
    _write(folder / KEYS / PRIVATE_KEY, key.private_pem().decode(), 0o600)
    _write(folder / KEYS / PUBLIC_KEY, key.trusted().public_pem().decode())
    if unchecked:
        slow = factor > 1
        roles["evaluator"] = "lab.boot.slow_unchecked" if slow else "lab.unchecked.evaluator"
        library = build.build()
        place = folder / library.relative_to("/")
        _make(place.parent)
        shutil.copy(library, place)
    if roles:
        arguments += f" --roles /{KEYS}/{ROLES}"
        _write(folder / KEYS / ROLES, json.dumps(roles), 0o600)
    _write(folder / KEYS / "agent", f'BULKHEAD_ARGUMENTS="{arguments}"\n')
    _write(folder / "etc/machine-id", f"{MACHINE_ID}\n")
    _write(folder / "etc/hostname", "bulkhead-guest\n")
    _write(folder / "usr/lib/sysusers.d/bulkhead.conf", SYSUSERS.read_text(encoding="utf-8"))
    _enable(folder, TEMPLATE.name, unit(environment()))
    if factor > 1:
        _write(folder / f"etc/systemd/system/{TEMPLATE.name}.d/patience.conf", patience(factor))
    _enable(folder, WITNESS, WITNESS_UNIT.format(python=python()))
    return folder


def patience(factor: float) -> str:
    """What is added to the shipped unit where processors are emulated: its limits, times factor."""
    return (
        "[Service]\n"
        "ExecStart=\n"
        f"ExecStart={python()} -I -m lab.boot.patient {factor:g} --json-log $BULKHEAD_ARGUMENTS\n"
        f"TimeoutStartSec={180 * factor:g}s\n"
        f"WatchdogSec={10 * factor:g}s\n"
    )


def python() -> Path:
    """The environment's interpreter."""
    return environment() / "bin" / "python"


def wanted_by(text: str) -> str:
    """The target that a unit says it is wanted by."""
    (line,) = [line for line in text.splitlines() if line.startswith("WantedBy=")]
    return line.partition("=")[2]


def _enable(folder: Path, name: str, text: str) -> None:
    """Put a unit in its place, as `systemctl enable` does."""
    units = folder / "etc/systemd/system"
    _write(units / name, text)
    wants = units / f"{wanted_by(text)}.wants"
    _make(wants)
    (wants / name).symlink_to(os.fspath(Path("/etc/systemd/system", name)))


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    _make(path.parent)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _make(folder: Path) -> None:
    """A folder and those above it, which all users may pass, whatever our own mask is."""
    for one in (*reversed(folder.parents), folder):
        if not one.exists():
            one.mkdir(mode=0o755)
            one.chmod(0o755)
