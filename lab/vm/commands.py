"""Commands that build images: run quietly, translated into VmError where they fail."""

import os
import shutil
import subprocess
from pathlib import Path

from lab.vm.errors import VmError, VmReason
from lab.vm.limits import LIMITS

TAIL_LINES = 15
"""How much of a failed command's output is shown."""

SYSTEM_FOLDERS = "/usr/sbin:/usr/bin:/sbin:/bin"
SETTINGS = {"PATH": SYSTEM_FOLDERS, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "debugfs": "e2fsprogs",
    "mkfs.ext4": "e2fsprogs",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "apt-get": "apt",
    "depmod": "kmod",
    "qemu-img": "qemu-utils",
    "virsh": "libvirt-clients",
    "dpkg-deb": "dpkg",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
"""Commands of this package and the Debian packages that have them."""

OF_VAGRANT = ("depmod", "qemu-img", "vagrant", "virsh")
"""Those of them that only boxes and their hosts need."""


def find(name: str) -> str:
    """The path of a command of Debian; TOOL_MISSING names its package."""
    path = shutil.which(name, path=SYSTEM_FOLDERS)
    if path is None:
        package = PACKAGES.get(name, name)
        option = "--for-vagrant" if name in OF_VAGRANT else "--for-vms"
        raise VmError(
            VmReason.TOOL_MISSING,
            f"no command {name}: run scripts/setup {option}, or install {package}",
        )
    return path


def environment() -> dict[str, str]:
    """This process's, a proxy's address for apt included, in the words that are read here."""
    return {**os.environ, **SETTINGS}


def run(
    reason: VmReason,
    name: str,
    *arguments: str | Path,
    folder: Path | None = None,
    standard_input: str = "",
) -> str:
    """Run a command to its end, in a folder if one is given, and return its standard output.

    VmError with that reason and the end of what it printed where it fails or takes too long.
    """
    command = [find(name), *map(str, arguments)]
    try:
        ended = subprocess.run(
            command,
            check=False,
            input=standard_input,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            cwd=folder,
            env=environment(),
            timeout=LIMITS.build_seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise VmError(reason, f"{name} took longer than {LIMITS.build_seconds:.0f} s") from error
    if ended.returncode != 0:
        tail = ended.stderr.splitlines()[-TAIL_LINES:]
        told = "\n  ".join([f"{' '.join(command)}: status {ended.returncode}", *tail])
        raise VmError(reason, told)
    return ended.stdout
