"""The smallest program that tells how far it came, for measurements and tests of prevention.

`write_witness` makes an executable without a library and without a loader, so that nothing runs
before its own first instruction: it writes one byte after the other to descriptor 3, as many as it
is asked for, and ends with status 0. What arrives on the other end of a pipe says how far it came.
x86-64 only.
"""

import fcntl
import os
import platform
import signal
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MACHINE = "x86_64"
DESCRIPTOR = 3
FOR_EVER = 0x7FFFFFFF
PIPE_BYTES = 1 << 20
"""What a pipe holds, so that no write ever waits for a reader."""

KILLED = int(signal.SIGKILL)

_BASE = 0x400000
_HEADERS = 64 + 56
_CODE = bytes.fromhex(
    "bb 00000000"  # mov ebx, count (filled in)
    "b8 01000000"  # again: mov eax, SYS_write
    "bf 03000000"  # mov edi, 3
    "488d35 00000000"  # lea rsi, [rip + text] (filled in)
    "ba 01000000"  # mov edx, 1
    "0f05"  # syscall
    "ffcb"  # dec ebx
    "75e4"  # jnz again
    "b8 3c000000"  # mov eax, SYS_exit
    "31ff"  # xor edi, edi
    "0f05"  # syscall
)
_COUNT_AT = 1
_TEXT_AT = 5 + 5 + 5 + 3
_AFTER_TEXT = _TEXT_AT + 4


def is_possible() -> bool:
    """Whether this machine can run it."""
    return platform.machine() == MACHINE


def write_witness(path: Path, writes: int = 1) -> Path:
    """Make the program; `writes` bytes are written before it ends."""
    code = bytearray(_CODE)
    struct.pack_into("<I", code, _COUNT_AT, writes)
    struct.pack_into("<i", code, _TEXT_AT, len(code) - _AFTER_TEXT)
    body = bytes(code) + b"x"
    size = _HEADERS + len(body)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    path.write_bytes(header + segment + body)
    path.chmod(0o755)
    return path


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one run: its pid, how many bytes it wrote, the signal that ended it or 0."""

    pid: int
    writes: int
    signal: int


def run_witness(program: Path | str, arguments: Sequence[str] = ()) -> Run:
    """Run a program and wait for its end."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        pid = os.posix_spawn(
            program,
            [str(program), *arguments],
            {},
            file_actions=[(os.POSIX_SPAWN_DUP2, writing, DESCRIPTOR)],
        )
        _, status = os.waitpid(pid, 0)
        written = 0
        with suppress(BlockingIOError):
            while piece := os.read(reading, PIPE_BYTES):
                written += len(piece)
    finally:
        os.close(reading)
        os.close(writing)
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return Run(pid, written, ended_by)
