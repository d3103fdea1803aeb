"""Landlock: no file, no TCP port, no foreign signal or abstract socket but those permitted.

The kernel's ABI is probed, and every access right that it knows is handled and therefore denied
unless a rule permits it. Where the kernel has no Landlock, the result says so. Applies to the
calling thread and its descendants: a role locks itself before it starts threads.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Collection
from pathlib import Path

from agent.linux import system_call
from agent.sandbox.errors import SandboxError

# The same numbers on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH, RULE_NET_PORT = 1, 2

WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_REG, TRUNCATE = 1 << 5, 1 << 8, 1 << 14
FILE_RIGHTS = WRITE_FILE | READ_FILE | TRUNCATE
READ = READ_FILE | READ_DIR
READ_WRITE = READ | WRITE_FILE | REMOVE_FILE | MAKE_REG | TRUNCATE

FILE_RIGHT_BITS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many of the file system rights an ABI knows; later ones know as many as ABI 5."""

BIND_TCP, CONNECT_TCP = 1, 2
FIRST_ABI_WITH_NETWORK = 4
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2
FIRST_ABI_WITH_SCOPES = 6


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class _NetPort(ctypes.Structure):
    _fields_ = (("allowed_access", ctypes.c_uint64), ("port", ctypes.c_uint64))


def available_abi() -> int:
    """The kernel's Landlock ABI; 0 where it has none or where Landlock is switched off."""
    try:
        return system_call(
            "landlock_create_ruleset", CREATE_RULESET, None, 0, CREATE_RULESET_VERSION
        )
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise SandboxError(f"Landlock: {error.strerror}") from error


def restrict(
    *,
    readable: Collection[Path] = (),
    writable: Collection[Path] = (),
    connect_ports: Collection[int] = (),
    bind_ports: Collection[int] = (),
) -> str:
    """Deny everything but these, for this thread and its descendants; needs no_new_privs.

    Readable paths that don't exist are skipped; a writable path that doesn't is a SandboxError.
    Returns what was reached, for people: ``abi 7`` or ``missing: …``.
    """
    abi = available_abi()
    if abi == 0:
        return "missing: this kernel has none, or it is switched off"
    try:
        ruleset = _create(abi)
        try:
            _permit_paths(ruleset, readable, READ & _file_rights(abi), required=False)
            _permit_paths(ruleset, writable, READ_WRITE & _file_rights(abi), required=True)
            if abi >= FIRST_ABI_WITH_NETWORK:
                _permit_ports(ruleset, connect_ports, CONNECT_TCP)
                _permit_ports(ruleset, bind_ports, BIND_TCP)
            system_call("landlock_restrict_self", RESTRICT_SELF, ruleset, 0)
        finally:
            os.close(ruleset)
    except OSError as error:
        raise SandboxError(f"Landlock: {error.strerror or error}") from error
    return f"abi {abi}{_missing(abi)}"


def _file_rights(abi: int) -> int:
    return (1 << FILE_RIGHT_BITS_BY_ABI.get(abi, FILE_RIGHT_BITS_BY_ABI[5])) - 1


def _create(abi: int) -> int:
    attributes = _Ruleset(handled_access_fs=_file_rights(abi))
    if abi >= FIRST_ABI_WITH_NETWORK:
        attributes.handled_access_net = BIND_TCP | CONNECT_TCP
    if abi >= FIRST_ABI_WITH_SCOPES:
        attributes.scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS
    # Older kernels accept the longer struct as long as what they don't know is 0.
    return system_call(
        "landlock_create_ruleset",
        CREATE_RULESET,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
        0,
    )


def _permit_paths(ruleset: int, paths: Collection[Path], rights: int, *, required: bool) -> None:
    for path in paths:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            if required:
                raise
            continue
        try:
            allowed = rights if stat.S_ISDIR(os.fstat(descriptor).st_mode) else rights & FILE_RIGHTS
            rule = _PathBeneath(allowed, descriptor)
            system_call(
                "landlock_add_rule", ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0
            )
        finally:
            os.close(descriptor)


def _permit_ports(ruleset: int, ports: Collection[int], right: int) -> None:
    for port in sorted(set(ports)):
        rule = _NetPort(right, port)
        system_call("landlock_add_rule", ADD_RULE, ruleset, RULE_NET_PORT, ctypes.byref(rule), 0)


def _missing(abi: int) -> str:
    lacking = []
    if abi < FIRST_ABI_WITH_NETWORK:
        lacking.append("TCP ports")
    if abi < FIRST_ABI_WITH_SCOPES:
        lacking.append("signals and abstract sockets")
    return f"; not limited by it: {', '.join(lacking)}" if lacking else ""
