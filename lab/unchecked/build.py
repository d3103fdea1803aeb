"""Builds the unchecked interpreter as a shared library, and loads it.

The library's name holds a hash of its sources and of the command, so that it is built again when
one of them changes, and readers of an older one are not disturbed. Where the shared place can't be
written (an unprivileged role on a checkout that belongs to somebody else), it is built into a
private folder that is gone once the library is loaded.
"""

import ctypes
import errno
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "build" / "lab"
"""Where built libraries are kept."""

SHARED = tuple(
    Path(__file__).with_name(name)
    for name in (
        *("interpreter.c", "interpreter.h"),
        *("reader.c", "reader.h"),
        *("wire.c", "wire.h"),
        *("faults.c", "faults.h"),
    )
)
"""What every placement of the interpreter is built from, as it is."""

SOURCES = (*SHARED, Path(__file__).with_name("hosted.c"))
COMPILER = "cc"
FLAGS = (
    "-std=gnu11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffreestanding",
    "-shared",
    "-fPIC",
)
COMPILER_SECONDS = 60
READABLE_BY_ALL = 0o755


class BuildError(Exception):
    """The unchecked interpreter can't be built; says what was tried and what the compiler said."""


@functools.cache
def load() -> ctypes.CDLL:
    """The library, loaded into this process; BuildError where it can't be made.

    Must be called before a role locks itself down.
    """
    try:
        path = build()
    except OSError:
        return _load_private()
    return ctypes.CDLL(str(path))


def build() -> Path:
    """Build the library into the shared place unless it is there; returns its path.

    BuildError without a compiler or when it fails; OSError where the place can't be written.
    """
    path = library_path()
    if path.exists():
        return path
    FOLDER.mkdir(parents=True, exist_ok=True)
    for folder in (FOLDER.parent, FOLDER):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(READABLE_BY_ALL)
    if not os.access(FOLDER, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(FOLDER))
    unfinished = path.with_suffix(f".{os.getpid()}")
    try:
        _compile(unfinished)
        unfinished.chmod(READABLE_BY_ALL)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _load_private() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory(prefix="bulkhead-lab-") as folder:
        path = _compile(Path(folder, library_path().name))
        return ctypes.CDLL(str(path))


def library_path() -> Path:
    """Where the library of these sources belongs."""
    digest = hashlib.sha256(" ".join((COMPILER, *FLAGS)).encode())
    for source in SOURCES:
        digest.update(source.read_bytes())
    return FOLDER / f"unchecked-{digest.hexdigest()[:16]}.so"


def _compile(path: Path) -> Path:
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise BuildError(f"no C compiler ({COMPILER}): run scripts/setup, or install gcc")
    units = [str(source) for source in SOURCES if source.suffix == ".c"]
    command = [compiler, *FLAGS, "-o", str(path), *units]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=COMPILER_SECONDS
    )
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return path
