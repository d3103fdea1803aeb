"""What the kernel itself says of BPF programs and maps."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BPF_SYSTEM_CALL = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
PROGRAM_BY_ID = 13
MAP_BY_ID = 14
MAP_LOOKUP = 1
ENABLE_STATS = 32
ATTRIBUTE_BYTES = 16

_library = ctypes.CDLL(None, use_errno=True)


def facts(descriptor: int) -> dict[str, str]:
    """Lines of /proc/self/fdinfo of a BPF object, such as prog_id, map_id, run_cnt."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def identities(descriptors: list[int]) -> set[tuple[int, int]]:
    """(command that opens it by id, id) of every program and map behind these descriptors."""
    found = set()
    for descriptor in descriptors:
        told = facts(descriptor)
        if "map_id" in told:
            found.add((MAP_BY_ID, int(told["map_id"])))
        if "prog_id" in told:
            found.add((PROGRAM_BY_ID, int(told["prog_id"])))
    return found


def is_there(identity: tuple[int, int]) -> bool:
    """Whether the kernel still has that object."""
    command, number = identity
    try:
        os.close(_bpf(command, number))
    except FileNotFoundError:
        return False
    return True


def has_entry(descriptor: int, pid: int) -> bool:
    """Whether a map with process ids as keys has an entry of that one."""
    key = ctypes.c_uint32(pid)
    value = ctypes.create_string_buffer(int(facts(descriptor)["value_size"]))
    attribute = (ctypes.c_uint64 * 4)(descriptor, ctypes.addressof(key), ctypes.addressof(value), 0)
    try:
        _call(MAP_LOOKUP, attribute)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def counted_runs() -> Iterator[None]:
    """While it lasts, the kernel counts the runs of every program."""
    descriptor = _bpf(ENABLE_STATS, 0)
    try:
        yield
    finally:
        os.close(descriptor)


def _bpf(command: int, first: int) -> int:
    return _call(command, (ctypes.c_uint32 * (ATTRIBUTE_BYTES // 4))(first))


def _call(command: int, attribute: ctypes.Array[Any]) -> int:
    result = _library.syscall(
        ctypes.c_long(BPF_SYSTEM_CALL), command, attribute, ctypes.sizeof(attribute)
    )
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)
