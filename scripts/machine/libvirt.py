"""What the hosts of vagrant/Vagrantfile are called in libvirt, what is left, and its removal.

Domains, networks and the pool of a checkout have names that begin with a word made from its path.
What others have in libvirt is neither looked at nor touched. What is left is looked for in the
folders of libvirt, so that it is found whether or not libvirt runs.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

SYSTEM = "qemu:///system"
IMAGES = Path("/var/lib/libvirt/images")
FOLDERS = (
    "/etc/libvirt",
    "/run/libvirt",
    "/var/lib/libvirt",
    "/var/log/libvirt",
    "/var/cache/libvirt",
)
SERVE = Path(__file__).resolve().parents[1] / "libvirt"
COMMAND_SECONDS = 60

KINDS = {
    "domain": (
        ("list", "--all", "--name"),
        ("destroy",),
        ("undefine", "--managed-save", "--snapshots-metadata"),
    ),
    "network": (("net-list", "--all", "--name"), ("net-destroy",), ("net-undefine",)),
    "pool": (("pool-list", "--all", "--name"), ("pool-destroy",), ("pool-undefine",)),
}
"""For each kind: virsh's words to list all, to end one, and to forget one."""


def prefix(checkout: Path) -> str:
    """What begins the name of everything that a checkout has in libvirt."""
    return f"bulkhead-{hashlib.sha256(os.fsencode(checkout)).hexdigest()[:8]}"


def images(checkout: Path) -> Path:
    """The folder of its images, which libvirt's own user can reach."""
    return IMAGES / prefix(checkout)


def boxes(checkout: Path) -> list[Path]:
    """Boxes that Vagrant has added for this user, or for the one who has called sudo."""
    user = os.environ.get("SUDO_USER")
    home = Path(pwd.getpwnam(user).pw_dir) if user else Path.home()
    vagrant = Path(os.environ.get("VAGRANT_HOME") or home / ".vagrant.d")
    return sorted((vagrant / "boxes").glob(f"{prefix(checkout)}-*"))


def left(checkout: Path) -> list[str]:
    """Paths of everything that is left, boxes included."""
    return [str(path) for path in (*_files(checkout), *boxes(checkout))]


def remove(checkout: Path) -> list[str]:
    """End and remove all that is left, as root; what was removed, in words."""
    removed = []
    if _files(checkout) and shutil.which("virsh") is not None:
        subprocess.run([SERVE, "serve"], check=False)
        removed = list(_removed(prefix(checkout)))
    for path in _files(checkout):
        _delete(path)
        removed.append(str(path))
    for path in boxes(checkout):
        _delete(path)
        removed.append(str(path))
    return removed


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _files(checkout: Path) -> list[Path]:
    found = [
        path for folder in map(Path, FOLDERS) for path in folder.glob(f"**/{prefix(checkout)}*")
    ]
    outermost = [path for path in found if not any(other in path.parents for other in found)]
    return sorted(outermost)


def _removed(begins: str) -> Iterator[str]:
    for kind, (listing, end, forget) in KINDS.items():
        for name in _virsh(*listing).split():
            if name.startswith(begins):
                _virsh(*end, name)
                _virsh(*forget, name)
                yield f"libvirt's {kind} {name}"


def _virsh(*words: str) -> str:
    command = ["virsh", "--quiet", "--connect", SYSTEM, *words]
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=COMMAND_SECONDS
    )
    return ended.stdout
