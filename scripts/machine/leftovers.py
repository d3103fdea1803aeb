"""Prove that nothing of this checkout is left on the machine, one line per check.

Processes, pinned BPF objects, mounts, network namespaces, control groups and scratch folders;
with --files also what `make clean` removes, and what hosts of Vagrant left in libvirt. The exit
status is 1 with the findings if any.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from scripts.machine import libvirt
from scripts.machine.place import PACKAGES, shared_folder

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "bulkhead"
MADE_HERE = (
    ".venv",
    "build",
    "dist",
    "node_modules",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".import_linter_cache",
    "vagrant/.vagrant",
)
"""What commands of the Makefile write into the checkout, beside the interpreter's caches."""

NAMED_PLACES = {
    "pinned BPF objects": (Path("/sys/fs/bpf"), f"{NAME}*"),
    "network namespaces": (Path("/run/netns"), f"{NAME}*"),
    "control groups": (Path("/sys/fs/cgroup"), f"**/{NAME}*"),
    "folders under /run": (Path("/run"), f"{NAME}*"),
    "shared memory": (Path("/dev/shm"), f"{NAME}*"),  # noqa: S108 - looked at, never written
    "scratch folders": (Path("/tmp"), f"{NAME}-*"),  # noqa: S108 - the same
}


def main() -> int:
    """Run the checks, print each, and return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/check-clean", description=__doc__)
    parser.add_argument("--files", action="store_true", help="also what `make clean` removes")
    checks = checks_of(CHECKOUT, files=parser.parse_args().files)
    clean = True
    for name, find in checks.items():
        found = list(find())
        clean = clean and not found
        print(f"clean: {name:<20} {'none' if not found else 'LEFT: ' + '; '.join(found)}")
    return 0 if clean else 1


def checks_of(checkout: Path, *, files: bool) -> dict[str, Callable[[], Iterable[str]]]:
    """Each check by name: a function that returns what is left, in words."""
    checks: dict[str, Callable[[], Iterable[str]]] = {
        "processes": lambda: processes(checkout),
        "mounts": lambda: mounts(checkout, Path("/proc/self/mountinfo")),
    }
    checks |= {name: partial(named, *place) for name, place in NAMED_PLACES.items()}
    if files:
        checks["files"] = lambda: map(str, made_here(checkout))
        checks["libvirt's folders"] = lambda: libvirt.left(checkout)
    return checks


def processes(checkout: Path) -> list[str]:
    """Running processes whose command line names this checkout's environment or what it built.

    The latter are virtual machines: they hold their disks and kernels in build/. Those of libvirt,
    and what serves their networks, have a name that is made for this checkout.
    """
    places = (checkout / ".venv", checkout / "build", shared_folder(checkout))
    marks = [os.fsencode(path) + b"/" for path in places]
    marks.append(os.fsencode(libvirt.prefix(checkout)))
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in _ancestry():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            folder = os.fsencode((entry / "cwd").readlink())
        except OSError:
            continue  # Ended meanwhile, or another user's.
        relative = folder == os.fsencode(checkout) and b".venv/bin/" in command
        if relative or any(mark in command for mark in marks):
            words = command.replace(b"\0", b" ").decode("utf-8", "backslashreplace")
            found.append(f"{entry.name} {words.strip()!a}")
    return found


def mounts(checkout: Path, mountinfo: Path) -> list[str]:
    """Mount points in the checkout or with our name in them."""
    points = [line.split()[4] for line in mountinfo.read_text(encoding="utf-8").splitlines()]
    inside = f"{checkout}/"
    return [point for point in points if point.startswith(inside) or f"/{NAME}" in point]


def named(folder: Path, pattern: str) -> list[str]:
    """Paths with our name in a folder of the system; words where it may not be read."""
    if not folder.is_dir():
        return []
    if not os.access(folder, os.R_OK | os.X_OK):
        return [] if os.geteuid() else [f"{folder} can't be read"]
    return [str(path) for path in sorted(folder.glob(pattern))]


def made_here(checkout: Path) -> list[Path]:
    """Everything that commands wrote for this checkout and that is still there."""
    candidates = [checkout / name for name in MADE_HERE]
    roots = [checkout / name for name in (*PACKAGES, "bench", "scripts", "tests")]
    candidates += [cache for root in roots for cache in sorted(root.rglob("__pycache__"))]
    candidates.append(shared_folder(checkout))
    return [path for path in candidates if path.exists() or path.is_symlink()]


def _ancestry() -> set[int]:
    """This process and those that started it: make and the shells between."""
    found = set()
    pid = os.getpid()
    while pid:
        found.add(pid)
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        pid = int(fields[1])
    return found


if __name__ == "__main__":
    sys.exit(main())
