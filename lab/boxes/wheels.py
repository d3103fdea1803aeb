"""The locked Python packages as files, for the interpreter of a Debian release.

They are fetched here, where pip knows the machine's indexes, so that a box is made without a
network: set-up in the box takes them from a folder.
"""

import subprocess
import sys
from pathlib import Path

from lab.boxes.model import CHECKOUT
from lab.vm import cache, commands
from lab.vm.errors import VmError, VmReason
from lab.vm.limits import LIMITS
from scripts.machine.environment import BOOTSTRAP_LOCK, PACKAGE_LOCKS

PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
"""Each release's own interpreter, on which the sensor's environment stands."""

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "any")
LOCKS = (*PACKAGE_LOCKS, BOOTSTRAP_LOCK)


def locks_text() -> str:
    """What is locked now."""
    return "".join((CHECKOUT / lock).read_text(encoding="utf-8") for lock in LOCKS)


def folder_of(release: str) -> Path:
    """A folder with all of them, fetched if it is not kept already."""
    python = PYTHONS[release]
    kept = cache.FOLDER / f"wheels-{cache.digest([python, locks_text()])}"
    if not kept.exists():
        with cache.scratch() as scratch:
            ready = scratch / "wheels"
            _fetch(python, ready)
            ready.rename(kept)
    return kept


def command(python: str, folder: Path) -> list[str]:
    """The command line for pip: compiled packages only, each with a hash that is locked."""
    tag = f"cp{python.replace('.', '')}"
    abis = [word for abi in (tag, "abi3", "none") for word in ("--abi", abi)]
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    locks = [word for lock in LOCKS for word in ("--requirement", str(CHECKOUT / lock))]
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)),
        *("--no-deps", "--require-hashes", "--only-binary=:all:"),
        *("--implementation", "cp", "--python-version", python, *abis, *platforms, *locks),
    ]


def _fetch(python: str, folder: Path) -> None:
    try:
        ended = subprocess.run(
            command(python, folder),
            check=False,
            capture_output=True,
            text=True,
            timeout=LIMITS.build_seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise VmError(
            VmReason.PACKAGE_MISSING, f"pip took longer than {LIMITS.build_seconds:.0f} s"
        ) from error
    if ended.returncode != 0:
        tail = ended.stderr.splitlines()[-commands.TAIL_LINES :]
        words = "\n  ".join([f"pip download for Python {python}", *tail])
        raise VmError(VmReason.PACKAGE_MISSING, words)
