"""Disk images of guests: ext4 file systems made without mounting anything.

A system image is a Debian of this machine's own release with a few packages: the environment's
compiled packages fit this release's Python and no other. Images that hold a folder of the machine
(sources, an environment) are mounted over it at the same path as here.
"""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.vm import cache, commands
from lab.vm.debian import Mirrors, source_lines
from lab.vm.errors import VmReason
from lab.vm.limits import LIMITS, MEBIBYTE

BLOCK_BYTES = 4096
"""What a small file takes at least in the image."""

QUIET = ("-q", "-F", "-b", str(BLOCK_BYTES))
OPTIONS = (*QUIET, "-O", "^has_journal", "-m", "0")
"""No journal: nothing that a guest writes is kept."""

NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""mmdebstrap mounts /proc, /sys and /dev in what it builds. Where it is interrupted, nothing may be
left running in there, and above all nothing mounted when the folder is removed."""


@dataclass(frozen=True, slots=True)
class Disk:
    """An image and where the guest mounts it; the first disk of a guest is its root.

    kept: whether what a guest writes stays in the image; else QEMU forgets it at the guest's end.
    """

    image: Path
    mount_point: str
    kept: bool = False


def machine_release() -> str:
    """The code name of the Debian that this machine runs."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "unknown")


def system_image(packages: Sequence[str], mirrors: Mirrors) -> Path:
    """A root file system with these packages, built if it is not kept already."""
    release = machine_release()
    sources = source_lines(mirrors, release)
    name = cache.digest({"packages": sorted(packages), "release": release, "format": OPTIONS})
    kept = cache.FOLDER / f"system-{name}.ext4"
    if not kept.exists():
        with cache.scratch() as scratch:
            # mmdebstrap's helpers run as another user in some modes and must be able to pass.
            scratch.chmod(0o755)
            root = scratch / "root"
            wanted = ["--quiet", "--variant=essential", f"--include={','.join(sorted(packages))}"]
            build = ("mmdebstrap", *wanted, release, str(root), *sources)
            commands.run(VmReason.BUILD_FAILED, "unshare", *NAMESPACES, *build)
            kept.with_suffix(".packages").write_text(installed(root), encoding="utf-8")
            folder_image(root, kept)
    return kept


def installed(root: Path) -> str:
    """Names and versions of what a root file system was made from, a line and a tab for each."""
    records = f"--admindir={root / 'var' / 'lib' / 'dpkg'}"
    return commands.run(VmReason.BUILD_FAILED, "dpkg-query", records, "--show")


def folder_image(folder: Path, image: Path) -> None:
    """Make an image that holds a folder's content; replaces what was there."""
    with cache.scratch() as scratch:
        unfinished = scratch / image.name
        size = image_mebibytes(used_bytes(folder))
        commands.run(
            VmReason.BUILD_FAILED, "mkfs.ext4", *OPTIONS, "-d", folder, unfinished, f"{size}M"
        )
        unfinished.replace(image)


def kept_image(folder: Path, image: Path, mebibytes: int) -> None:
    """Make an image for a disk that is kept: a folder's content, as Debian's installer makes it.

    With a journal, that is: what a power cut leaves behind is what it would leave on a host.
    """
    with cache.scratch() as scratch:
        unfinished = scratch / image.name
        size = f"{mebibytes}M"
        commands.run(VmReason.BUILD_FAILED, "mkfs.ext4", *QUIET, "-d", folder, unfinished, size)
        unfinished.replace(image)


def image_mebibytes(used: int) -> int:
    """How large an image is made for so many bytes; holes of it take no room on this machine."""
    return int(used * (1 + LIMITS.image_spare_share) / MEBIBYTE) + LIMITS.image_spare_mebibytes


def used_bytes(folder: Path) -> int:
    """Bytes that a folder's content takes in whole blocks, links and folders included."""
    sizes = (path.lstat().st_size for path in folder.rglob("*"))
    return sum(-(-size // BLOCK_BYTES) * BLOCK_BYTES + BLOCK_BYTES for size in sizes)
