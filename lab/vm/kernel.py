"""A Debian kernel that a guest can be started on.

The newest cloud kernel of a release is fetched once and kept: its image, and those of its modules
that reach a virtio disk. Everything else that guests need is built into Debian's kernels.
"""

import lzma
import platform
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.vm import cache, commands
from lab.vm.debian import Archive, Mirrors
from lab.vm.errors import VmError, VmReason

ARCHITECTURE = "x86_64"
METAPACKAGE = "linux-image-cloud-amd64"
DISK_MODULES = ("virtio_pci", "virtio_blk")
"""What a virtio disk needs, with all that these need; newer kernels have some of it built in."""

DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
"""In a module's own description: the modules whose symbols it uses."""

IMAGE = "vmlinuz"
MODULES = "modules"


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a kernel is called, the file that boots, and its modules in the order to load them."""

    release: str
    version: str
    image: Path
    modules: tuple[Path, ...]


def require_architecture() -> None:
    """Kernels and guests are those of x86-64 only."""
    found = platform.machine()
    if found != ARCHITECTURE:
        raise VmError(
            VmReason.ARCHITECTURE_UNSUPPORTED, f"this machine is {found}, expected {ARCHITECTURE}"
        )


def kernel_of(release: str, mirrors: Mirrors) -> Kernel:
    """The kernel of a Debian release, fetched if it is not kept already."""
    kept = cache.FOLDER / "kernels" / release
    if not kept.exists():
        with cache.scratch() as scratch:
            ready = scratch / "ready"
            content = fetch(Archive(release, scratch / "apt"), mirrors, scratch)
            keep_what_boots(content, ready)
            kept.parent.mkdir(exist_ok=True)
            ready.rename(kept)
    return kept_kernel(release, kept)


def kept_kernel(release: str, folder: Path) -> Kernel:
    """A kernel as it lies in the cache: one image with its version in its name, and modules."""
    (image,) = folder.glob(f"{IMAGE}-*")
    modules = tuple(sorted((folder / MODULES).iterdir()))
    return Kernel(release, image.name.removeprefix(f"{IMAGE}-"), image, modules)


def fetch(archive: Archive, mirrors: Mirrors, scratch: Path) -> Path:
    """Fetch the newest kernel's package; the folder that its content lies in."""
    archive.update(mirrors)
    package = archive.real_package(METAPACKAGE)
    downloads = scratch / "downloads"
    downloads.mkdir()
    content = scratch / "content"
    file = archive.download(package, downloads)
    commands.run(VmReason.BUILD_FAILED, "dpkg-deb", "--extract", file, content)
    return content


def keep_what_boots(content: Path, ready: Path) -> None:
    """Take image and disk modules out of a package's content, modules uncompressed."""
    images = sorted((content / "boot").glob(f"{IMAGE}-*"))
    if len(images) != 1:
        raise VmError(
            VmReason.KERNEL_INCOMPLETE, f"{len(images)} files boot/{IMAGE}-* in the package, not 1"
        )
    (ready / MODULES).mkdir(parents=True)
    shutil.copy2(images[0], ready)
    found = {path.name.partition(".")[0]: path for path in content.rglob("virtio*.ko*")}
    modules = {name: _uncompressed(path) for name, path in found.items()}
    for index, name in enumerate(load_order(modules, DISK_MODULES)):
        (ready / MODULES / f"{index:02}-{name}.ko").write_bytes(modules[name])


def load_order(modules: Mapping[str, bytes], wanted: Iterable[str]) -> list[str]:
    """Names of the wanted modules and of all that they depend on, each after what it needs.

    modules: content by name; what is not among them is built into the kernel.
    """
    ordered: list[str] = []
    for name in wanted:
        if name not in modules:
            continue
        found = DEPENDS.search(modules[name])
        needs = found[1].decode("ascii").split(",") if found else []
        ordered += load_order(modules, needs)
        ordered.append(name)
    return list(dict.fromkeys(ordered))


def _uncompressed(module: Path) -> bytes:
    content = module.read_bytes()
    return lzma.decompress(content) if module.suffix == ".xz" else content
