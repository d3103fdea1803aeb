"""Files and folders that nobody else may have put there, or can change while we use them.

A path is followed without a single symbolic link (openat2 where the kernel has it, Linux 5.6 and
newer, else component by component); what it leads to must belong to us or to root and be writable
by nobody else, and so must every folder above a folder of ours, unless it is sticky as /tmp is.
What is not so is a `NotOursError`, which names the path, what was found and what was expected.
Standard library only.
"""

import ctypes
import errno
import os
import stat
from pathlib import Path

from agent.linux import system_call

OPENAT2 = 437
"""The same number on every architecture."""
AT_FDCWD = -100
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS = 0x02, 0x04
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_NOT_THERE = (errno.ENOSYS, errno.EPERM)
"""No openat2: an older kernel, or a container's filter that doesn't know it."""


class NotOursError(PermissionError):
    """Somebody else may have put it there, or can change it."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(errno.EPERM, found, str(path))


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def read(path: Path, limit: int) -> bytes:
    """At most `limit` bytes of a regular file of ours; NotOursError, or another OSError."""
    # A pipe must not make us wait.
    descriptor = open_path(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        _require_ours(path, found)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(descriptor)


def require_folder(folder: Path) -> None:
    """NotOursError, or another OSError, unless it is a folder of ours, in folders of ours."""
    absolute = Path(os.path.abspath(folder))  # noqa: PTH100 — `resolve` would follow the links
    for one in (absolute, *absolute.parents):
        descriptor = open_path(one, os.O_PATH | os.O_DIRECTORY)
        try:
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        _require_ours(one, found, sticky_will_do=True)


def open_path(path: Path, flags: int) -> int:
    """Open something that is there, by a path without symbolic links; OSError if it has one."""
    absolute = os.path.abspath(path)  # noqa: PTH100 — the same
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return _openat2(absolute, flags)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return _walk(Path(absolute), flags)
        if error.errno == errno.ELOOP:
            raise NotOursError(path, "a symbolic link on the way") from error
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error


def _openat2(absolute: str, flags: int) -> int:
    how = _How(flags, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
    name = ctypes.c_char_p(os.fsencode(absolute))
    return system_call("openat2", OPENAT2, AT_FDCWD, name, ctypes.byref(how), ctypes.sizeof(how))


def _walk(absolute: Path, flags: int) -> int:
    """The same without openat2: every folder is opened from the one above it."""
    top, *parts = absolute.parts
    folder = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            wanted = flags if last else os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(part, wanted, dir_fd=folder)
            os.close(folder)
            folder = below
            if stat.S_ISLNK(os.fstat(folder).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    except OSError as error:
        os.close(folder)
        if error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and absolute.is_symlink()):
            raise NotOursError(absolute, "a symbolic link on the way") from error
        raise OSError(error.errno, error.strerror, str(absolute)) from error
    return folder


def _require_ours(path: Path, found: os.stat_result, *, sticky_will_do: bool = False) -> None:
    us = os.geteuid()
    if found.st_uid not in (0, us):
        raise NotOursError(path, f"belongs to uid {found.st_uid}, not to {us} or root")
    if found.st_mode & _OTHERS_WRITE and not (sticky_will_do and found.st_mode & stat.S_ISVTX):
        mode = f"{stat.S_IMODE(found.st_mode):o}"
        raise NotOursError(path, f"mode {mode}, which lets others write")
