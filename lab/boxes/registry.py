"""What was made, where libvirt and the Vagrantfile find it.

Libvirt's own user has to reach what it boots: images are made in a pool of this checkout's own, and
kernels lie there too. The Vagrantfile reads build/boxes.json, which also says whether processors
are this machine's own or emulated.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lab.boxes.model import CHECKOUT
from lab.boxes.pack import Packed
from lab.vm import commands
from lab.vm.accelerator import KVM
from lab.vm.errors import VmError, VmReason
from lab.vm.probe import Choice
from scripts.machine import libvirt

PATH = CHECKOUT / "build" / "boxes.json"
BOOT = "boot"
"""The folder of kernels, in the pool's."""


def write(made: Iterable[Packed], choice: Choice, path: Path = PATH) -> None:
    """Put in place what the boxes boot with, and say so; earlier boxes stay known."""
    pool = libvirt.prefix(CHECKOUT)
    folder = libvirt.images(CHECKOUT)
    require_pool(pool, folder)
    boxes = read(path).get("boxes", {})
    boxes |= {one.box.name: _entry(one, pool, folder / BOOT) for one in made}
    document = {
        "prefix": pool,
        "driver": "kvm" if choice.accelerator is KVM else "qemu",
        "because": choice.because,
        "time_factor": choice.accelerator.time_factor,
        "boxes": boxes,
    }
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)


def read(path: Path = PATH) -> dict[str, Any]:
    """What `write` has written, or nothing where no boxes were made."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return dict(found)


def require_served() -> None:
    """Have libvirt serve; TOOL_MISSING where it does not."""
    served = subprocess.run([libvirt.SERVE, "serve"], check=False, capture_output=True, text=True)
    if served.returncode != 0:
        raise VmError(VmReason.TOOL_MISSING, served.stderr.strip())


def require_pool(name: str, folder: Path) -> None:
    """Have a running pool of that name in that folder."""
    require_served()
    (folder / BOOT).mkdir(parents=True, exist_ok=True)
    for one in (folder, folder / BOOT):
        one.chmod(0o755)
    if name not in _virsh("pool-list", "--all", "--name").split():
        _virsh("pool-define-as", name, "dir", "--target", os.fspath(folder))
        _virsh("pool-autostart", name)
    if name not in _virsh("pool-list", "--name").split():
        _virsh("pool-start", name)


def _entry(one: Packed, pool: str, folder: Path) -> dict[str, str]:
    image, initramfs = (folder / f"{one.box.name}-{name}" for name in ("vmlinuz", "initramfs"))
    for source, target in ((one.image, image), (one.initramfs, initramfs)):
        shutil.copyfile(source, target)
        target.chmod(0o644)
    return {
        "name": f"{pool}-{one.box.name}-{one.digest}",
        "title": one.box.title,
        "archive": os.fspath(one.archive),
        "kernel": os.fspath(image),
        "initramfs": os.fspath(initramfs),
        "kernel_version": one.kernel_version,
    }


def _virsh(*words: str) -> str:
    return commands.run(
        VmReason.BUILD_FAILED, "virsh", "--quiet", "--connect", libvirt.SYSTEM, *words
    )
