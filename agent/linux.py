"""The few Linux calls that Python lacks: prctl, capset, capget and raw system calls.

Thin on purpose: arguments go in, an OSError that names the call comes out. The libc handle is
made at import, so that a child between fork and exec only makes the call. Standard library only.
"""

import ctypes
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = [ctypes.c_int, *([ctypes.c_ulong] * 4)]

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

CAPABILITY_VERSION_3 = 0x20080522
CAPABILITY_BITS = 64


class Capability(IntEnum):
    """The capabilities that some role of ours holds; numbers from linux/capability.h."""

    CHOWN = 0
    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    KILL = 5
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    NET_ADMIN = 12
    SYS_PTRACE = 19
    SYS_ADMIN = 21
    SYS_RESOURCE = 24
    PERFMON = 38
    BPF = 39


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@dataclass(frozen=True, slots=True)
class CapabilitySets:
    """Bit masks: bit n stands for capability number n."""

    effective: int
    permitted: int
    inheritable: int


def prctl(option: int, *arguments: int) -> int:
    """Call prctl; missing arguments are 0. OSError on failure."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(int(_libc.prctl(option, *padded)), f"prctl {option}")


def system_call(name: str, number: int, *arguments: object) -> int:
    """A raw system call; arguments are ints (as C long) or ctypes objects. OSError on failure."""
    converted = [
        ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments
    ]
    return _checked(int(_libc.syscall(ctypes.c_long(number), *converted)), name)


def capabilities() -> CapabilitySets:
    """The capability sets of the calling thread."""
    data = (_Data * 2)()
    header = _Header(CAPABILITY_VERSION_3, 0)
    _checked(int(_libc.capget(ctypes.byref(header), data)), "capget")
    low, high = data
    return CapabilitySets(
        effective=low.effective | high.effective << 32,
        permitted=low.permitted | high.permitted << 32,
        inheritable=low.inheritable | high.inheritable << 32,
    )


def set_capabilities(wanted: CapabilitySets) -> None:
    """Set the capability sets of the calling thread; OSError where that would raise them."""
    data = (_Data * 2)()
    for index in (0, 1):
        shift = 32 * index
        data[index].effective = wanted.effective >> shift & 0xFFFFFFFF
        data[index].permitted = wanted.permitted >> shift & 0xFFFFFFFF
        data[index].inheritable = wanted.inheritable >> shift & 0xFFFFFFFF
    header = _Header(CAPABILITY_VERSION_3, 0)
    _checked(int(_libc.capset(ctypes.byref(header), data)), "capset")


def capability_mask(wanted: Iterable[Capability]) -> int:
    """The bit mask of these capabilities."""
    return sum(1 << capability for capability in set(wanted))


def _checked(result: int, name: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
