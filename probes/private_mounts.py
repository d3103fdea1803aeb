"""Mounts that nobody else sees: in a mount namespace of this process alone, gone with it."""

import ctypes
import functools
import os
from pathlib import Path

CLONE_NEWNS = 0x00020000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_NOSUID_NODEV_NOEXEC = 0x2 | 0x4 | 0x8


def mount(file_system: str, point: Path) -> None:
    """Mount a pseudo file system of this name; OSError if the kernel refuses."""
    _own_namespace()
    name = os.fsencode(file_system)
    _mount(name, os.fsencode(point), name, MS_NOSUID_NODEV_NOEXEC)


def cover(path: Path, by: Path) -> None:
    """Let another file be seen at a path; OSError if the kernel refuses."""
    _own_namespace()
    _mount(os.fsencode(by), os.fsencode(path), None, MS_BIND)


@functools.cache
def _own_namespace() -> None:
    _check(_library().unshare(CLONE_NEWNS), "unshare")
    _mount(None, b"/", None, MS_REC | MS_PRIVATE)


def _mount(source: bytes | None, point: bytes, kind: bytes | None, flags: int) -> None:
    _check(_library().mount(source, point, kind, ctypes.c_ulong(flags), None), os.fsdecode(point))


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
