"""A box of a root file system: what Vagrant adds, and what libvirt boots it with.

A box is a tar archive of an image and of metadata that says what it was made from. It is kept under
a name that says the same; kernel, its disk modules and the first file system lie beside it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.boxes import root, wheels
from lab.boxes.model import Box
from lab.vm import cache, commands, initramfs, kernel
from lab.vm.debian import Archive, Mirrors
from lab.vm.errors import VmReason
from lab.vm.image import Disk, installed, kept_image
from lab.vm.initramfs import Plan

DISK_GIBIBYTES = 6
INIT = "/lib/systemd/systemd"
ARCHIVE, INITRAMFS = "host.box", "initramfs.cpio"
METADATA = "metadata.json"
COMPRESSION = ("-c", "-o", "compression_type=zstd")


@dataclass(frozen=True, slots=True)
class Packed:
    """A box as it is kept: a name that nothing else has, its kernel, and the folder it lies in."""

    box: Box
    digest: str
    kernel_version: str
    folder: Path

    @property
    def archive(self) -> Path:
        """What Vagrant adds."""
        return self.folder / ARCHIVE

    @property
    def image(self) -> Path:
        """The kernel that boots."""
        return self.folder / f"{kernel.IMAGE}-{self.kernel_version}"

    @property
    def initramfs(self) -> Path:
        """What the kernel starts with: it mounts the disk and goes on there."""
        return self.folder / INITRAMFS


def packed(box: Box, mirrors: Mirrors) -> Packed:
    """A box, made if it is not kept already."""
    digest = cache.digest([*root.inputs(box), DISK_GIBIBYTES])
    folder = cache.FOLDER / f"box-{box.name}-{digest}"
    if not folder.exists():
        with cache.scratch() as scratch:
            _make(box, mirrors, scratch)
            (scratch / "ready").rename(folder)
    metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    return Packed(box, digest, metadata["bulkhead"]["kernel_version"], folder)


def _make(box: Box, mirrors: Mirrors, scratch: Path) -> None:
    ready = scratch / "ready"
    content = kernel.fetch(Archive(box.kernel, scratch / "apt"), mirrors, scratch)
    kernel.keep_what_boots(content, ready)
    boots = kernel.kept_kernel(box.kernel, ready)
    # Since Debian 13 packages have it below usr.
    (modules,) = content.glob(f"**/lib/modules/{boots.version}")
    folder = root.build(box, mirrors, scratch, modules)
    disk = scratch / "disk.ext4"
    kept_image(folder, disk, DISK_GIBIBYTES * 1024)
    initramfs.build(ready, boots, Plan((Disk(disk, "/"),), init=INIT))
    _archive(disk, metadata(box, boots.version, installed(folder)), scratch / "box", ready)


def _archive(disk: Path, described: dict[str, object], folder: Path, ready: Path) -> None:
    folder.mkdir()
    image = folder / "box.img"
    convert = ("convert", "-f", "raw", "-O", "qcow2", *COMPRESSION, disk, image)
    commands.run(VmReason.BUILD_FAILED, "qemu-img", *convert)
    text = json.dumps(described, indent=1) + "\n"
    for place in (folder, ready):
        (place / METADATA).write_text(text, encoding="utf-8")
    names = ("--owner=0", "--group=0", METADATA, image.name)
    commands.run(
        VmReason.BUILD_FAILED, "tar", "--create", "--file", ready / ARCHIVE, *names, folder=folder
    )


def metadata(box: Box, kernel_version: str, packages: str) -> dict[str, object]:
    """What Vagrant has to know of a box, and what it was made from.

    packages: a name and a version per line, divided by a tab.
    """
    made_from = {
        **asdict(box),
        "kernel_version": kernel_version,
        "python": wheels.PYTHONS[box.user_space],
        "locks": cache.digest(wheels.locks_text()),
        "packages": dict(line.split("\t") for line in packages.splitlines()),
    }
    return {
        "provider": "libvirt",
        "format": "qcow2",
        "virtual_size": DISK_GIBIBYTES,
        "bulkhead": made_from,
    }
