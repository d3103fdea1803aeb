"""The first file system of a guest: a static busybox, the modules that reach its disks, and a plan.

`guest-init` beside this file is its first process, and goes on as `guest-run`, or as the init of
the guest's own root. The plan is `disks` (a device and a mount point per line), `command` (a shell
script), `init-of-root` (its path, or nothing) and `over` (files that are put over the root).
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.vm import commands
from lab.vm.errors import VmReason
from lab.vm.image import Disk
from lab.vm.kernel import Kernel

INIT = Path(__file__).with_name("guest-init")
RUN = Path(__file__).with_name("guest-run")
EXECUTABLE = 0o755


@dataclass(frozen=True, slots=True)
class Plan:
    """What a guest does.

    disks: the first one is its root.
    command: a shell script that runs there, after which the guest is turned off.
    init: a program of the root that becomes the first process instead, as "/sbin/init".
    over: a folder whose content is put over the root, owned by root, once all disks are mounted.
    """

    disks: Sequence[Disk]
    command: str = ""
    init: str = ""
    over: Path | None = None


def build(folder: Path, kernel: Kernel, plan: Plan) -> Path:
    """Write the archive into a folder; its path."""
    content = folder / "initramfs"
    shutil.rmtree(content, ignore_errors=True)
    (content / "bin").mkdir(parents=True)
    (content / "modules").mkdir()
    shutil.copy(commands.find("busybox"), content / "bin" / "busybox")
    shutil.copy(INIT, content / "init")
    (content / "init").chmod(EXECUTABLE)
    shutil.copy(RUN, content / "guest-run")
    for module in kernel.modules:
        shutil.copy(module, content / "modules")
    (content / "disks").write_text(disk_table(plan.disks), encoding="utf-8")
    (content / "command").write_text(plan.command, encoding="utf-8")
    (content / "init-of-root").write_text(plan.init, encoding="utf-8")
    if plan.over is not None:
        shutil.copytree(plan.over, content / "over", symlinks=True)
    archive = folder / "initramfs.cpio"
    names = [str(path.relative_to(content)) for path in sorted(content.rglob("*"))]
    options = ["--quiet", "--create", "--format=newc", "--owner=0:0", f"--file={archive}"]
    listed = "".join(f"{name}\n" for name in names)
    commands.run(VmReason.BUILD_FAILED, "cpio", *options, folder=content, standard_input=listed)
    shutil.rmtree(content)
    return archive


def disk_table(disks: Sequence[Disk]) -> str:
    """Device and mount point per line, in the order of QEMU's drives."""
    letters = (chr(ord("a") + index) for index in range(len(disks)))
    return "".join(
        f"/dev/vd{letter} {disk.mount_point}\n" for letter, disk in zip(letters, disks, strict=True)
    )
