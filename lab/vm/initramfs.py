"""The first file system of a guest: a static busybox, the modules that reach its disks, and a plan.

`guest-init` beside this file is its first process, and goes on as `guest-run`. The plan is two
files: `disks` (a device and a mount point per line) and `command` (a shell script).
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from lab.vm import commands
from lab.vm.errors import VmReason
from lab.vm.image import Disk
from lab.vm.kernel import Kernel

INIT = Path(__file__).with_name("guest-init")
RUN = Path(__file__).with_name("guest-run")
EXECUTABLE = 0o755


def build(folder: Path, kernel: Kernel, disks: Sequence[Disk], command: str) -> Path:
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
    (content / "disks").write_text(disk_table(disks), encoding="utf-8")
    (content / "command").write_text(command, encoding="utf-8")
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
