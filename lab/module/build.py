"""Builds the module inside a guest, and keeps it under a name that says what it was made from.

The guest has a compiler and the headers of the very kernel that it runs; it gets the sources on a
disk that is kept, and leaves the module there.
"""

import shutil
from pathlib import Path

from content.definitions import load_definitions
from lab.module.permission import WORD, ModuleError, ModuleReason
from lab.module.supplied import header
from lab.unchecked.build import SHARED
from lab.vm import cache, commands, machine
from lab.vm.accelerator import Accelerator
from lab.vm.debian import Mirrors
from lab.vm.errors import VmReason
from lab.vm.image import Disk, kept_image, system_image
from lab.vm.initramfs import Plan
from lab.vm.kernel import Kernel
from lab.vm.machine import Ending, Guest

HERE = Path(__file__).parent
OWN = ("Kbuild", "module.c", "content.c", "content.h", "inputs.c", "inputs.h")
MODULE = "bulkhead_laboratory"
PLACE = "/srv/module"
DISK_MEBIBYTES = 64
BUILD_SECONDS = 120.0
"""On a processor of its own; emulated ones get more."""

COMMAND = f"make -C /lib/modules/$(uname -r)/build M={PLACE} modules\n"


def packages(kernel: Kernel) -> tuple[str, ...]:
    """What the guest that builds has installed."""
    return ("gcc", "make", f"linux-headers-{kernel.version}")


def sources() -> dict[str, str]:
    """All files that the module is built from, by name."""
    files = [*SHARED, *(HERE / name for name in OWN)]
    found = {path.name: path.read_text(encoding="utf-8") for path in files}
    return {**found, "supplied.h": header(load_definitions())}


def kept_module(kernel: Kernel) -> Path:
    """Where the module of these sources for this kernel belongs."""
    name = cache.digest({"sources": sources(), "kernel": kernel.version})
    return cache.FOLDER / f"{MODULE}-{name}.ko"


def module(kernel: Kernel, mirrors: Mirrors, accelerator: Accelerator) -> Path:
    """The module, built if it is not kept already; ModuleError or VmError where that fails."""
    kept = kept_module(kernel)
    if not kept.exists():
        system = Disk(system_image(packages(kernel), mirrors), "/")
        with cache.scratch() as scratch:
            _build(kernel, system, accelerator, scratch).replace(kept)
    return kept


def _build(kernel: Kernel, system: Disk, accelerator: Accelerator, scratch: Path) -> Path:
    content = scratch / "content"
    content.mkdir()
    for name, text in sources().items():
        (content / name).write_text(text, encoding="utf-8")
    disk = Disk(scratch / "module.ext4", PLACE, kept=True)
    kept_image(content, disk.image, DISK_MEBIBYTES)
    guest = Guest(kernel, Plan((system, disk), COMMAND), accelerator, WORD)
    outcome = machine.run(guest, scratch / "run", BUILD_SECONDS)
    if outcome.ending is not Ending.FINISHED or outcome.status != 0:
        words = "\n  ".join(outcome.console_tail.splitlines()[-commands.TAIL_LINES :])
        raise ModuleError(
            ModuleReason.BUILD_FAILED,
            f"the guest ended with {outcome.ending}, status {outcome.status}\n  {words}",
        )
    return _taken_out(disk.image, scratch / f"{MODULE}.ko")


def _taken_out(image: Path, module: Path) -> Path:
    """The module as it lies in the image."""
    command = f"dump /{MODULE}.ko {module}"
    commands.run(VmReason.BUILD_FAILED, "debugfs", "-R", command, image)
    if not module.exists() or not module.stat().st_size:
        raise ModuleError(ModuleReason.BUILD_FAILED, f"no {MODULE}.ko on the guest's disk")
    shutil.copymode(image, module)
    return module
