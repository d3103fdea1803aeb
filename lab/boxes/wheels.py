"""The locked Python packages as files, for the interpreter of a Debian release.

They are fetched here, where pip knows the machine's indexes, so that a box is made without a
network: set-up in the box takes them from a folder.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.markers import Marker

from lab.boxes.model import CHECKOUT
from lab.vm import cache, commands
from lab.vm.errors import VmError, VmReason
from lab.vm.limits import LIMITS
from scripts.machine.environment import BOOTSTRAP_LOCK, PACKAGE_LOCKS

PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
"""Each release's own interpreter, on which the sensor's environment stands."""

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "any")
LOCKS = (*PACKAGE_LOCKS, BOOTSTRAP_LOCK)
BELONGS = (" ", "#")
"""What begins lines that belong to the package above them."""


def locks_text() -> str:
    """What is locked now."""
    return "".join((CHECKOUT / lock).read_text(encoding="utf-8") for lock in LOCKS)


def folder_of(release: str) -> Path:
    """A folder with all of them, fetched if it is not kept already."""
    python = PYTHONS[release]
    kept = cache.FOLDER / f"wheels-{cache.digest([python, locks_text()])}"
    if not kept.exists():
        with cache.scratch() as scratch:
            _fetch(python, scratch)
            (scratch / "wheels").rename(kept)
    return kept


def lock_for(python: str, text: str) -> str:
    """What a lock says for an interpreter, without markers.

    pip judges markers by its own interpreter, whatever it is told to fetch for.
    """
    judged_by = {"python_full_version": f"{python}.0", "python_version": python}
    kept, wanted = [], True
    for line in text.splitlines():
        if line.startswith(BELONGS):
            kept += [line] if wanted else []
            continue
        package, _, marker = line.removesuffix("\\").partition(" ; ")
        wanted = not marker.strip() or Marker(marker).evaluate(judged_by)
        kept += [f"{package.strip()} \\"] if wanted else []
    return "\n".join(kept) + "\n"


def command(python: str, locks: Sequence[Path], folder: Path) -> list[str]:
    """The command line for pip: compiled packages only, each with a hash that is locked."""
    abis = (f"cp{python.replace('.', '')}", "abi3", "none")
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)),
        *("--no-deps", "--require-hashes", "--only-binary=:all:"),
        *("--implementation", "cp", "--python-version", python),
        *(word for abi in abis for word in ("--abi", abi)),
        *(word for platform in PLATFORMS for word in ("--platform", platform)),
        *(word for lock in locks for word in ("--requirement", str(lock))),
    ]


def _fetch(python: str, scratch: Path) -> None:
    locks = [scratch / Path(lock).name for lock in LOCKS]
    for lock, path in zip(LOCKS, locks, strict=True):
        text = (CHECKOUT / lock).read_text(encoding="utf-8")
        path.write_text(lock_for(python, text), encoding="utf-8")
    try:
        ended = subprocess.run(
            command(python, locks, scratch / "wheels"),
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
