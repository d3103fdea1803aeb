"""Every kind of death of an evaluator, in one table. Each one really happens, in the real sandbox.

What a kind needs that the sandbox does not give (memory that can be executed, a file to map) is
made before this process locks itself down: code of this kind would be there, in a library.
Some end at once; others go on for a while, until memory is full or their silence has been noticed.
"""

import ctypes
import mmap
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

_libc = ctypes.CDLL(None)
_X86 = platform.machine() == "x86_64"


class Found(StrEnum):
    """When the process ends: with the event that it dies of, or only later."""

    AT_ONCE = "at once"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to die. possible: whether this machine's processor knows its instructions."""

    name: str
    happen: Callable[[], object]
    found: Found = Found.AT_ONCE
    possible: bool = True


class _Instructions:
    """A few bytes that are called as a function. Made while that is still allowed."""

    def __init__(self, code: bytes) -> None:
        self._memory = mmap.mmap(
            -1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        )
        self._memory.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        # Python's lock is held, as an extension written in C would hold it.
        self._function = ctypes.PYFUNCTYPE(None)(address)

    def __call__(self) -> None:
        self._function()


def _cut_short() -> mmap.mmap:
    """A mapping of two pages of a file that has only one any more."""
    descriptor = os.memfd_create("cut-short", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, 2 * mmap.PAGESIZE)
    mapped = mmap.mmap(descriptor, 2 * mmap.PAGESIZE)
    os.ftruncate(descriptor, mmap.PAGESIZE)
    os.close(descriptor)
    return mapped


_CUT_SHORT = _cut_short()
_ILLEGAL = _Instructions(b"\x0f\x0b")  # ud2
_JUMP_TO_ITSELF = _Instructions(b"\xeb\xfe")
_CALL_ITSELF = _Instructions(b"\xe8\xfb\xff\xff\xff")
_DIVIDE_BY_ZERO = _Instructions(b"\x31\xd2\x31\xc9\xf7\xf1")  # edx = ecx = 0; div ecx


def _raise() -> NoReturn:
    raise RuntimeError("an exception of the laboratory")


def _for_ever() -> NoReturn:
    while True:
        pass


def _memory_in_python() -> None:
    hog = []
    while True:
        hog.append(bytearray(b"x" * (16 << 20)))


def _memory_in_c() -> None:
    _libc.malloc.restype = ctypes.c_void_p
    size = 16 << 20
    while True:
        ctypes.memset(_libc.malloc(ctypes.c_size_t(size)) or 0, 1, size)


def _leak_descriptors() -> None:
    while True:
        os.dup(0)


def _flood() -> None:
    line = b"x" * 99 + b"\n"
    while True:
        os.write(2, line * 600)


def _channel() -> int:
    return int(sys.argv[sys.argv.index("--channel-fd") + 1])


def _say_rubbish() -> None:
    os.write(_channel(), b"rubbish")
    _for_ever()


def _hang_up() -> None:
    os.close(_channel())
    _for_ever()


_TABLE = (
    Kind("SIGSEGV", lambda: ctypes.memset(0, 0, 1)),
    Kind("SIGABRT", _libc.abort),
    Kind("SIGBUS", lambda: _CUT_SHORT[mmap.PAGESIZE]),
    Kind("SIGILL", _ILLEGAL, possible=_X86),
    Kind("SIGFPE", _DIVIDE_BY_ZERO, possible=_X86),
    Kind("stack overflow", _CALL_ITSELF, possible=_X86),
    Kind("exception", _raise),
    Kind("exit", lambda: os._exit(3)),
    Kind("memory hog in Python", _memory_in_python, Found.LATER),
    Kind("memory hog in C", _memory_in_c, Found.LATER),
    Kind("descriptor leak", _leak_descriptors),
    Kind("fork attempt", os.fork),
    Kind("forbidden call", socket.socket),
    Kind("wrong message", _say_rubbish),
    Kind("endless loop in Python", _for_ever, Found.LATER),
    Kind("endless loop in C", _JUMP_TO_ITSELF, Found.LATER, possible=_X86),
    Kind("silence", lambda: time.sleep(1e6), Found.LATER),
    Kind("output flood", _flood, Found.LATER),
    Kind("hang-up", _hang_up, Found.LATER),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _TABLE if kind.possible}
