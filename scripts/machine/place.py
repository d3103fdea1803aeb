"""Where a checkout's environment lies, so that unprivileged roles can execute it.

In the checkout (`.venv`, sources used in place), unless other users can't reach or read that: then
in /opt/bulkhead under a name made from the checkout's path, with the packages copied there, and
`.venv` is a link to it.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

SHARED_FOLDER = Path("/opt/bulkhead")
PACKAGES = ("agent", "cli", "cloud", "content", "lab", "probes", "proto/bulkhead")
"""What is installed, as in pyproject.toml's wheel."""


@dataclass(frozen=True, slots=True)
class Place:
    """`folder` is the environment; `in_checkout` says that the sources are used where they are."""

    checkout: Path
    folder: Path
    in_checkout: bool

    @property
    def link(self) -> Path:
        """What everybody calls: the environment itself, or a link to it."""
        return self.checkout / ".venv"

    @property
    def python(self) -> Path:
        """The environment's interpreter, at a path that every user can reach."""
        return self.folder / "bin" / "python"


def choose(checkout: Path, *, roles_have_users: bool) -> Place:
    """The place for this checkout; without users of their own, roles run as whoever set it up."""
    checkout = checkout.resolve()
    if not roles_have_users or reachable_by_others(checkout):
        return Place(checkout, checkout / ".venv", in_checkout=True)
    return Place(checkout, shared_folder(checkout), in_checkout=False)


def shared_folder(checkout: Path) -> Path:
    """The folder under /opt/bulkhead that belongs to this checkout alone."""
    return SHARED_FOLDER / hashlib.sha256(os.fsencode(checkout)).hexdigest()[:16]


def reachable_by_others(checkout: Path) -> bool:
    """Whether any user may enter every folder on the way and read every source file."""
    ways = [checkout / "proto", checkout, *checkout.parents]
    return all(_allows(way, stat.S_IXOTH) for way in ways) and all(
        _allows(path, stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0))
        for path in source_paths(checkout)
    )


def source_paths(checkout: Path) -> list[Path]:
    """Every folder and file of the packages, without what the interpreter caches."""
    roots = [checkout / package for package in PACKAGES]
    found = [path for root in roots for path in (root, *sorted(root.rglob("*")))]
    return [path for path in found if "__pycache__" not in path.parts and path.exists()]


def _allows(path: Path, bits: int) -> bool:
    return path.stat().st_mode & bits == bits
